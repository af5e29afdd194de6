"""kill -9 at random instants: does a training, or a sweep, end as if nobody had killed it?

A run is killed, continued, killed again, until it gets to its end. Then what it wrote is compared
with what a run wrote that was left alone: the checkpoint byte for byte, the sweep's table row for
row. At each kill the checkpoint must be whole, or not there yet.

    python benchmarks/kills.py --kills 100
"""

import argparse
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import polars as pl
from rich.console import Console
from rich.progress import track

from handgrad.checkpoint import load_checkpoint

TRAIN = ["train", "numpy_manual", "--epochs", "600", "--every", "1", "--checkpoint", "run"]
SWEEP = ["sweep", "--seeds", "6000", "--hidden", "2,4", "--out", "kept"]


def start(command: list[str], folder: Path) -> subprocess.Popen[bytes]:
    quiet = subprocess.DEVNULL
    command = [sys.executable, "-m", "handgrad", *command]
    return subprocess.Popen(command, cwd=folder, stdout=quiet, stderr=quiet)


def train_command(folder: Path) -> list[str]:
    return TRAIN + (["--resume", "run"] if (folder / "run").exists() else [])


def sweep_command(folder: Path) -> list[str]:
    return SWEEP + (["--resume"] if (folder / "kept" / "sweep.json").exists() else [])


def checkpoint(folder: Path) -> bytes:
    return (folder / "run").read_bytes()


def results(folder: Path) -> str:
    table = pl.read_parquet(folder / "kept" / "results.parquet")
    return str(table.hash_rows(seed=0).to_list())


def at_a_kill(folder: Path) -> None:
    if (folder / "run").exists():
        load_checkpoint(folder / "run")  # raises unless it is whole


def killed(
    name: str,
    command: Callable[[Path], list[str]],
    written: Callable[[Path], object],
    kills: int,
    seed: int,
) -> bool:
    """Whether every run that was killed and continued ended as the one that was left alone."""
    draw, done, ended, alike = random.Random(seed), 0, 0, 0
    with tempfile.TemporaryDirectory() as text:
        alone = Path(text)
        began = time.perf_counter()
        assert start(command(alone), alone).wait() == 0
        seconds, expected = time.perf_counter() - began, written(alone)
    bar = iter(track(range(kills), name, console=Console(stderr=True), transient=True))
    while done < kills:
        with tempfile.TemporaryDirectory() as text:
            folder = Path(text)
            while True:
                with start(command(folder), folder) as process:
                    try:
                        code = process.wait(draw.uniform(0, seconds) if done < kills else None)
                    except subprocess.TimeoutExpired:
                        process.kill()
                        done += 1
                        next(bar, None)
                        code = None
                at_a_kill(folder)
                if code is not None:
                    assert code == 0, f"{name} ended with {code}"
                    break
            ended += 1
            alike += written(folder) == expected
    print(
        f"{name}: {done} kills (seed {seed}), {ended - alike} runs ended otherwise than one alone"
    )
    print(f"    {ended} runs got to their end; when a kill comes depends on the machine")
    return alike == ended


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    train = killed("train", train_command, checkpoint, given.kills, given.seed)
    sweep = killed("sweep", sweep_command, results, given.kills, given.seed)
    sys.exit(not (train and sweep))


if __name__ == "__main__":
    main()
