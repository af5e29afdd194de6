"""What callers hand over, looked at before it is used: each check says what must hold."""

import os
from numbers import Integral
from pathlib import Path
from typing import Any

from handgrad.errors import BadInput


def whole_number(name: str, value: object, at_least: int) -> int:
    """The value as an int. Raises `BadInput` unless it is a whole number of at least `at_least`."""
    if not isinstance(value, Integral) or isinstance(value, bool) or value < at_least:
        raise BadInput(f"{name} must be a whole number of at least {at_least}, got {value!r}")
    return int(value)


def require_type(name: str, value: object, kind: type) -> None:
    """Raises `BadInput` unless the value is one.

    >>> require_type("problem", None, dict)
    Traceback (most recent call last):
    handgrad.errors.BadInput: problem must be a dict, got None
    """
    if not isinstance(value, kind):
        raise BadInput(f"{name} must be a {kind.__name__}, got {_shown(value)}")


def require_functions(optional: bool = False, **given: Any) -> None:
    """Raises `BadInput` unless each can be called, or is None where it is optional."""
    for name, value in given.items():
        if not callable(value) and not (optional and value is None):
            raise BadInput(f"{name} must be a function, got {_shown(value)}")


def file_path(name: str, value: object) -> Path:
    """The value as a path. Raises `BadInput` unless it can name a file or folder."""
    if not isinstance(value, str | os.PathLike) or "\0" in str(value) or not str(value).strip():
        raise BadInput(f"{name} must name a file or folder, got {_shown(value)}")
    return Path(value)


def _shown(value: object) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else f"a {type(value).__name__}"
