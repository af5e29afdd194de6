"""The gradient check of a file that somebody wrote."""

import os
import runpy
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from multiprocessing import get_context
from pathlib import Path
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

from handgrad.checker.functions import gradcheck
from handgrad.checker.layer import gradcheck_layer
from handgrad.checker.report import Report
from handgrad.errors import BadInput
from handgrad.inputs import shown

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

KINDS = (
    "params, loss and grads (and perhaps activations or reference), module and inputs, forward, "
    "backward and inputs, or layer and inputs"
)
OF_A_LAYER = ("params", "grads", "outputs", "jvp")
OF_A_MODULE = ("second", "forward_ad", "vmap")


SAFE = "PYTHONSAFEPATH"


class UserError(Exception):
    """An exception that the user's own file raised; its text is the traceback within that file."""


def check_in_a_process(target: str, **options: Any) -> Report:
    """`check_file` in a process of its own: whatever FILE does, a verdict comes back, or a line.

    What FILE prints goes to standard error. Raises `BadInput` also where the process ended before.
    """
    return _in_a_process(check_file, target, options)


def list_in_a_process(target: str) -> list[str]:
    """`names_in` in a process of its own."""
    return _in_a_process(names_in, target, {})


def _in_a_process(work: Callable[..., Any], target: str, options: dict[str, Any]) -> Any:
    file_and_name(target)
    ours, theirs = get_context("spawn").Pipe(duplex=False)
    child = get_context("spawn").Process(target=_answer, args=(theirs, work, target, options))
    with _stdlib_first():
        child.start()
    theirs.close()
    try:
        found = ours.recv()
    except EOFError:
        child.join()
        raise BadInput(f"{target} must let the check end, but {_end(child.exitcode)}") from None
    finally:
        child.kill()
        child.join()
    if isinstance(found, Exception):
        raise found
    return found


def _answer(
    to: "Connection", work: Callable[..., Any], target: str, options: dict[str, Any]
) -> None:
    os.dup2(2, 1)  # what the file prints is no part of the report
    os.environ.pop(SAFE, None)
    sys.path.insert(0, str(file_and_name(target)[0].resolve().parent))
    try:
        to.send(work(target, **options))
    except (BadInput, UserError) as error:
        to.send(error)
    except KeyboardInterrupt:  # the parent has it too, and says so
        os._exit(128 + signal.SIGINT)


def _end(code: int | None) -> str:
    if code is not None and code < 0:
        return f"was killed by {signal.Signals(-code).name}"
    return f"ended the process with code {code} (sys.exit?)"


def check_file(target: str, **options: Any) -> Report:
    """Check FILE.py, or FILE.py:NAME for a dict, class or object in it with those names.

    Raises `BadInput` where the file does not define what is needed, `UserError` where it raises.
    """
    path, name = file_and_name(target)
    file = str(path)
    found: Any = {}
    try:
        found = runpy.run_path(file)
        if name:
            if name not in found:
                raise BadInput(f"{file} must define {name}, and does not")
            found = found[name]
            found = found if isinstance(found, Mapping) else _attributes(found)
        return _check(file, found, options)
    except BadInput:
        raise
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)
        theirs = [f for f in frames if f.filename == file]
        if not theirs and not isinstance(error, SyntaxError):
            alone = _fails_alone(found)
            if alone is None:
                raise  # ours
            said = " ".join(f"{type(alone).__name__}: {alone}".split())
            raise BadInput(f"{file} must run as handgrad calls it, but {said}") from None
        raise UserError(_within(file, error)) from None


def names_in(target: str) -> list[str]:
    """What in FILE.py can be checked: FILE.py itself, FILE.py:NAME, each a target.

    Raises `BadInput` where there is nothing.
    """
    path, _ = file_and_name(target)
    found = _run(str(path))
    names = [str(path)] if _form(found) else []
    for name, value in found.items():
        if name.startswith("_") or isinstance(value, ModuleType | FunctionType):
            continue
        with suppress(Exception):  # an attribute that cannot be read
            if _form(value if isinstance(value, Mapping) else _attributes(value)):
                names.append(f"{path}:{name}")
    if not names:
        raise BadInput(f"{path} must define {KINDS}")
    return names


def _run(file: str) -> dict[str, Any]:
    """What the file defines. Raises `UserError` where it raises."""
    try:
        return runpy.run_path(file)
    except Exception as error:
        raise UserError(_within(file, error)) from None


def _within(file: str, error: Exception) -> str:
    """The traceback within that file."""
    theirs = [f for f in traceback.extract_tb(error.__traceback__) if f.filename == file]
    return "".join(traceback.format_list(theirs) + traceback.format_exception_only(error))


def _form(found: Mapping[str, Any]) -> str | None:
    """Which check these names are for."""
    names = set(found)
    if "inputs" in names and ("layer" in names or {"forward", "backward"} <= names):
        return "layer"
    if {"params", "loss", "grads"} <= names:
        return "loss"
    return "module" if {"module", "inputs"} <= names else None


def file_and_name(target: str) -> tuple[Path, str]:
    """FILE.py and NAME. Raises `BadInput` where there is no such file."""
    file, _, name = target.partition(":") if ".py:" in target else (target, "", "")
    if not os.path.isfile(file):  # Path's own raises where the name is too long
        raise BadInput(f"FILE must be a Python file that exists, got {shown(file)}")
    return Path(file), name


@contextmanager
def _stdlib_first() -> Iterator[None]:
    """A new Python does not look for modules in the current folder, where a struct.py may be."""
    before = os.environ.get(SAFE)
    os.environ[SAFE] = before or "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[SAFE]


def _fails_alone(found: Mapping[str, Any]) -> Exception | None:
    """What the file's functions raise when they are called as they are; None if nothing."""
    try:
        if "module" in found:
            from handgrad.checker.pytorch import arguments_of

            arguments, named = arguments_of(found["inputs"], None)
            found["module"](*arguments, **named)
        if "forward" in found and "inputs" in found:
            given = found["inputs"]
            found["forward"](*(given if isinstance(given, list | tuple) else [given]))
        for name in ("loss", "grads", "activations", "reference"):
            if "params" in found and callable(found.get(name)):
                found[name](found["params"])
    except Exception as error:
        return error
    return None


def _attributes(thing: Any) -> dict[str, Any]:
    """What an object has, its class's and their bases' too."""
    return {n: getattr(thing, n) for n in dir(thing) if not n.startswith("__")}


def _check(file: str, found: Mapping[str, Any], options: dict[str, Any]) -> Report:
    for name in (
        "loss",
        "module",
        "activations",
        "reference",
        "forward",
        "backward",
        "jvp",
        "project",
    ):
        if name in found and not callable(found[name]):
            raise BadInput(f"{file}: {name} must be a function, got {found[name]!r:.60}")
    form = _form(found)
    if form == "layer":
        options |= {key: found[key] for key in OF_A_LAYER if key in found}
        layer = found["layer"] if "layer" in found else found["forward"]
        backward = None if "layer" in found else found["backward"]
        return gradcheck_layer(layer, backward, found["inputs"], **options)
    optional = ("activations", "structure", "reference", "project", "conjugate")
    options |= {key: found[key] for key in optional if key in found}
    if form == "loss":
        own = {key: found[key] for key in ("params", "loss", "grads")}
        return gradcheck(**own, **options)
    if form == "module":
        from handgrad.checker.pytorch import gradcheck_module

        options |= {key: found[key] for key in OF_A_MODULE if key in found}
        return gradcheck_module(found["module"], found["inputs"], **options)
    raise BadInput(f"{file} must define {KINDS}")
