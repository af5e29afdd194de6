"""Files that are written whole or not at all."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile
from time import sleep

from handgrad.errors import BadInput
from handgrad.extras import needed_for


def write_whole(path: Path, data: bytes) -> None:
    """Put `data` into `path` so that a kill at any instant leaves the old file or the new one.

    Raises `BadInput` where the folder is missing or cannot be written.
    """
    part = None
    try:
        path = path.resolve()  # a link stays, and what it points to is replaced
        part = _beside(path, "part")  # what a kill leaves, the next run replaces
        with part.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            shutil.copymode(path, part)
        replace(part, path)
    except BaseException as error:
        if part is not None:
            with suppress(OSError):
                part.unlink(missing_ok=True)
        if not isinstance(error, OSError | RuntimeError | ValueError):  # a link to itself; a NUL
            raise
        raise BadInput(f"{path} must be a file that can be written, got: {reason(error)}") from None


def replace(part: Path, path: Path) -> None:
    """Put `part` where `path` is, in one step on every file system: no reader sees half a file.

    Windows refuses while somebody has `path` open, a virus scanner for instance: it is tried again
    for a second.
    """
    for wait in (0.05, 0.1, 0.2, 0.65):
        try:
            os.replace(part, path)
            return
        except PermissionError:
            sleep(wait)
    os.replace(part, path)


def make_folder(path: Path) -> Path:
    """The folder, made where it is missing, and tried. Raises `BadInput` where it cannot be."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise BadInput(
            f"{path} must be a folder that can be written, got: {reason(error)}; choose another"
        ) from None
    return path


def require_file(path: Path) -> None:
    """Raises `BadInput` where what is to be written stands in the way as a folder."""
    if path.is_dir():
        raise BadInput(f"{path} must be a file that can be written, got a folder: move it away")


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Nobody else writes the file, or into the folder, at `path` while this is open.

    Raises `BadInput` where somebody does. The lock is the system's: a kill lets go of it.
    """
    with needed_for("a lock on what is written"):
        from filelock import FileLock, Timeout

    file = _beside(path / "folder" if path.is_dir() else path, "lock")
    lock = FileLock(file, timeout=0)
    if not file.parent.is_dir():  # the lock would make it; whoever writes says that it is not there
        yield
        return
    try:
        with TemporaryFile(dir=file.parent):  # a lock that cannot be made would look like one held
            pass
        lock.acquire()
    except Timeout:
        raise BadInput(
            f"{path} must be written by one process at a time, and another handgrad is at it: wait "
            "for it, or choose another"
        ) from None
    except OSError as error:
        raise BadInput(f"{path} must be a file that can be written, got: {reason(error)}") from None
    try:
        yield
    finally:
        with suppress(PermissionError):  # Windows keeps what is open; the lock then removes it
            file.unlink(missing_ok=True)
        lock.release()


def _beside(path: Path, kind: str) -> Path:
    """A file of ours, with a name that nobody else gives one: it is removed without asking."""
    return path.with_name(f".{path.name}.handgrad-{kind}")


def reason(error: OSError | RuntimeError | ValueError) -> str:
    """What the system says of the error, without its number and path."""
    return getattr(error, "strerror", None) or str(error)
