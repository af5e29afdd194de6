"""How far a learner has come: the exercises are run in kernels of their own, never in this process.

The limits on time, output, memory and processes are guards against accidents, and no sandbox: what
a learner wrote is run, and can do what its user can do.
"""

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import DEVNULL
from tempfile import TemporaryDirectory
from typing import Any

from handgrad.errors import BadInput
from handgrad.extras import needed_for
from handgrad.notebooks import notebooks, read_notebook

RIGHT, WRONG, EMPTY, NOT_REACHED = "right", "wrong", "empty", "not reached"

LAUNCH = """\
try:
    import resource
    resource.setrlimit(resource.RLIMIT_AS, ({memory}, {memory}))
except (ImportError, ValueError):
    pass
from ipykernel.kernelapp import launch_new_instance
launch_new_instance()
"""


@dataclass(frozen=True)
class Limits:
    """Of one notebook's kernel: seconds a cell, bytes of output a cell, bytes of memory."""

    seconds: float = 60
    output: int = 10**6
    memory: int = 6 * 2**30


@dataclass(frozen=True)
class Answer:
    """One blank: its state, and what its check says (for a stop, what stopped it)."""

    notebook: str
    blank: str
    state: str
    said: str = ""


@dataclass
class Learner:
    """The answers in one folder, in the order of the lessons."""

    folder: Path
    answers: list[Answer] = field(default_factory=list)

    @property
    def next(self) -> str:
        """The first blank that is not right: what to do next; "" if all are."""
        todo = (a for a in self.answers if a.state != RIGHT)
        return next((f"{a.notebook} {a.blank}" for a in todo), "")


def learners(folder: Path) -> list[Path]:
    """The folder itself if it holds exercises, else the folders in it that do.

    Raises `BadInput` where there are none.
    """
    if folder.is_file():
        raise BadInput(f"{folder} must be a folder of exercises, got a file: name its folder")
    if _exercises(folder):
        return [folder]
    inside = sorted(folder.iterdir()) if folder.is_dir() else []
    found = [path for path in inside if path.is_dir() and _exercises(path)]
    if not found:
        raise BadInput(
            f"{folder} must hold exercises, or learners' folders that do, and holds none: make "
            f"them with handgrad notebooks {folder}"
        )
    return found


def progress(
    folder: Path,
    limits: Limits | None = None,
    on_notebook: Callable[[Path], None] = lambda path: None,
) -> Learner:
    """Run the exercises in the folder, each in a fresh kernel.

    A file that is no notebook is an answer that is wrong. Raises `BadInput` where what runs them
    is not installed.
    """
    learner = Learner(folder)
    for name, path in _exercises(folder).items():
        on_notebook(path)
        try:
            learner.answers += answers(name[:2], path, limits or Limits())
        except BadInput as error:  # the others are looked at all the same
            learner.answers.append(Answer(name[:2], "the file", WRONG, str(error)))
    return learner


def _exercises(folder: Path) -> dict[str, Path]:
    """The exercises there, by the file's name, in order."""
    names = [Path(place).name for place in notebooks() if place.startswith("exercises/")]
    found = {name: folder / name for name in names if _is_exercise(folder / name)}
    inside = {name: folder / "exercises" / name for name in names}
    return found | {name: path for name, path in inside.items() if path.is_file()}


def _is_exercise(path: Path) -> bool:
    """Whether the file is there and has blanks: beside the lessons, which have the same names."""
    try:
        return path.is_file() and bool(_with(read_notebook(path), "exercise"))
    except BadInput:
        return True  # which is told later


def answers(number: str, path: Path, limits: Limits) -> list[Answer]:
    """The state of each blank of one notebook."""
    ours = read_notebook(notebooks()[f"exercises/{path.name}"])
    theirs = read_notebook(path)
    source = {c["metadata"]["exercise"]: c["source"] for c in _with(theirs, "exercise")}
    if not source:
        lost = "it has lost the marks of its blanks: copy your lines into a new copy"
        return [Answer(number, "the file", WRONG, lost)]
    empty = {c["metadata"]["exercise"]: c["source"] for c in _with(ours, "exercise")}
    checks = {c["metadata"]["check"]: c["source"] for c in _with(ours, "check")}
    begun = [name for name in empty if source.get(name, empty[name]).strip() != empty[name].strip()]
    as_given = [n for n in empty if n not in begun and "NotImplementedError" not in empty[n]]
    said = _checked(_prepared(theirs, ours, checks), begun + as_given, limits) if begun else {}
    for name in as_given:  # a copy to be mended may have been right
        if name in said and said[name][0] != RIGHT:
            said[name] = EMPTY, ""
    states = {name: said.get(name, (EMPTY, "")) for name in empty}
    return [Answer(number, name, *state) for name, state in states.items()]


def _with(notebook: dict[str, Any], key: str) -> list[Any]:
    return [c for c in notebook["cells"] if key in c["metadata"]]


def _prepared(theirs: dict[str, Any], ours: dict[str, Any], checks: dict[str, str]) -> Any:
    """The learner's cells, but the helper, what it knows and the checks as we have made them."""
    kept = {_kind(c["source"]): c["source"] for c in ours["cells"]}
    kept.pop("", None)
    for cell in theirs["cells"]:
        cell["source"] = kept.get(_kind(cell["source"]), cell["source"])
        cell["source"] = checks.get(cell["metadata"].get("check"), cell["source"])
    return theirs


def _kind(source: str) -> str:
    """What tells the cells that we have made from a learner's: what they define."""
    defined = re.search(r"^(def check_exercise|def verdict|def compared|KNOWN = )", source, re.M)
    return defined[0] if defined else ""


def _checked(notebook: Any, begun: list[str], limits: Limits) -> dict[str, tuple[str, str]]:
    """What the checks say of the blanks that were begun."""
    with needed_for("handgrad progress"):
        import nbformat
        from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

    notebook = nbformat.from_dict(notebook)
    found = dict.fromkeys(begun, (NOT_REACHED, ""))
    with _kernel(notebook, limits) as run:
        waiting, at = set(begun), ""
        broken: dict[str, tuple[str, str]] = {}
        for i, cell in enumerate(notebook.cells):
            at = cell.metadata.get("exercise") or cell.metadata.get("check") or at
            if not waiting:
                break
            try:
                run(cell, i)
            except CellExecutionError:
                pass
            except (CellTimeoutError, DeadKernelError, _Stop) as stop:
                found[at or begun[0]] = (WRONG, _why(stop, limits))
                break
            name = cell.metadata.get("check")
            if name in waiting:
                waiting.discard(name)
                found[name] = broken.get(name) or _verdict(cell)
            elif "exercise" in cell.metadata and any(
                o.output_type == "error" for o in cell.outputs
            ):
                broken[at] = _verdict(cell)  # as with a missing colon: its check would not say it
    for name in waiting & {n for n in found if found[n] == (NOT_REACHED, "")}:
        if not any(c.metadata.get("check") == name for c in notebook.cells):
            found[name] = NOT_REACHED, "the cell that checks it is gone: take it from a new copy"
    return found


def _why(stop: Exception, limits: Limits) -> str:
    return {
        "CellTimeoutError": f"it runs longer than {limits.seconds:g} s: does a loop never end?",
        "DeadKernelError": "it ends the kernel: is there an exit?",
    }.get(type(stop).__name__, str(stop))


def _verdict(cell: Any) -> tuple[str, str]:
    """What the check in the cell printed or raised."""
    for output in cell.outputs:
        if output.output_type == "error":
            said = str(output.evalue).split("\n")[0]
            state = EMPTY if "not written yet" in said else WRONG
            kind = "" if output.ename == "Wrong" else f"{output.ename}: "
            return state, kind + re.sub(r"^\S+ ✗ ", "", said)
    printed = "".join(o.get("text", "") for o in cell.outputs)
    return (RIGHT, "") if "✓" in printed else (WRONG, "its check said nothing")


class _Stop(Exception):
    """A limit was reached; the text says which."""


def _taken(memory: Any, platform: str) -> int:
    """What is limited. macOS maps hundreds of GB for every process, and limits none of it."""
    return memory.rss if platform == "darwin" else memory.vms


@contextmanager
def _kernel(notebook: Any, limits: Limits) -> Iterator[Callable[[Any, int], None]]:
    """A fresh kernel in an empty folder; what runs a cell in it. All of it is gone at the end."""
    import psutil
    from jupyter_client.kernelspec import KernelSpec
    from jupyter_client.manager import AsyncKernelManager
    from nbclient import NotebookClient

    class Client(NotebookClient):
        printed = 0
        stopped = ""

        def process_message(self, msg: Any, cell: Any, cell_index: int) -> Any:
            self.printed += len(str(msg["content"]))
            if self.printed > limits.output:  # the rest is not waited for
                self.stopped = f"it prints more than {limits.output:,} characters"
                kernel.kill()
                msg = {**msg, "msg_type": "stream", "content": {"name": "stdout", "text": ""}}
            return super().process_message(msg, cell, cell_index)

    def run(cell: Any, i: int) -> None:
        client.printed = 0
        try:
            client.execute_cell(cell, i)
        finally:
            if client.stopped:
                raise _Stop(client.stopped)
            with suppress(psutil.Error):
                if _taken(kernel.memory_info(), sys.platform) > 0.9 * limits.memory:
                    raise _Stop(f"it takes more than {limits.memory / 2**30:.0f} GB of memory")
                if children := kernel.children(recursive=True):
                    started.extend(children)
                    raise _Stop("it starts processes of its own")

    manager: Any = AsyncKernelManager()
    command = [sys.executable, "-c", LAUNCH.format(memory=limits.memory), "-f", "{connection_file}"]
    manager._kernel_spec = KernelSpec(argv=command, display_name="handgrad", language="python")
    started: list[Any] = []
    try:
        with TemporaryDirectory() as folder:
            client = Client(notebook, km=manager, timeout=limits.seconds, allow_errors=True)
            client.resources = {"metadata": {"path": folder}}
            with client.setup_kernel(cleanup_kc=True, stderr=DEVNULL):
                kernel = psutil.Process(manager.provisioner.pid)
                started.append(kernel)
                yield run
    finally:
        for process in started:
            with suppress(psutil.Error):
                process.kill()
