"""Files that are written whole or not at all."""

import os
from contextlib import suppress
from pathlib import Path

from handgrad.problem import BadInput


def write_whole(path: Path, data: bytes) -> None:
    """Put `data` into `path` so that a kill at any instant leaves the old file or the new one.

    Raises `BadInput` where the folder is missing or cannot be written.
    """
    part = path.with_name(path.name + ".part")
    try:
        with part.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)  # one step on every file system: no reader sees half a file
    except OSError as error:
        with suppress(OSError):
            part.unlink()
        raise BadInput(f"{path} must be a file that can be written, got: {reason(error)}") from None


def make_folder(path: Path) -> Path:
    """The folder, made where it is missing, and tried. Raises `BadInput` where it cannot be."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        probe = path / ".part"
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        raise BadInput(
            f"{path} must be a folder that can be written, got: {reason(error)}; choose another"
        ) from None
    return path


def reason(error: OSError) -> str:
    """What the system says of the error, without its number and path."""
    return error.strerror or str(error)
