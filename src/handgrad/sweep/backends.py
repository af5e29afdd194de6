"""Where chunks are computed: on this machine's cores, or on a Dask cluster."""

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import contextmanager
from itertools import islice
from typing import Any

from handgrad.errors import BadInput
from handgrad.extras import needed_for

Backend = Callable[[Callable[[Any], Any], Iterable[Any]], Iterator[tuple[Any, Any]]]
"""(work, tasks) → (task, its result), as they finish."""

CONNECT = 5.0
"""Seconds in which a cluster must answer."""


def local(work: Callable[[Any], Any], tasks: Iterable[Any]) -> Iterator[tuple[Any, Any]]:
    """A thread a core: the kernel leaves Python's lock."""
    cores = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    waiting = iter(tasks)
    pool = ThreadPoolExecutor(cores)
    try:
        running = {pool.submit(work, task): task for task in islice(waiting, 2 * cores)}
        while running:
            # Polars' handler of Ctrl-C lets a wait go on: without an end to it, Python learns
            # of the key when a chunk is done, perhaps minutes later.
            for done in wait(running, timeout=0.2, return_when=FIRST_COMPLETED).done:
                yield running.pop(done), done.result()
                running |= {pool.submit(work, task): task for task in islice(waiting, 1)}
    finally:  # on Ctrl-C what is in hand may take minutes, and is not waited for
        pool.shutdown(wait=False, cancel_futures=True)


@contextmanager
def connected(address: str | None) -> Iterator[Backend]:
    """`local`, or the Dask cluster at the address; what it has in hand at the end is dropped.

    What a worker that dies had in hand is given to another: a result comes once for each task.
    Raises `BadInput` where Dask is not installed or the address does not answer.
    """
    if address is None:
        yield local
        return
    with needed_for("a Dask cluster"):
        from distributed import Client, as_completed
    try:
        client = Client(address, timeout=CONNECT)
    except (OSError, ValueError) as error:
        raise BadInput(
            f"address must be that of a Dask scheduler that answers within {CONNECT:g} seconds, "
            f"such as tcp://127.0.0.1:8786, got {address!r}: {type(error).__name__}"
        ) from None

    def cluster(work: Callable[[Any], Any], tasks: Iterable[Any]) -> Iterator[tuple[Any, Any]]:
        waiting = iter(tasks)
        ahead = 4 * max(1, sum(client.nthreads().values()))
        running = {client.submit(work, task, pure=False): task for task in islice(waiting, ahead)}
        finished = as_completed(list(running))
        for done in finished:
            yield running.pop(done), done.result()
            for task in islice(waiting, 1):
                future = client.submit(work, task, pure=False)
                running[future] = task
                finished.add(future)

    with client:
        yield cluster
