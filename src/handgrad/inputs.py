"""What callers hand over, looked at before it is used: each check says what must hold."""

import os
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import numpy as np

from handgrad.errors import BadInput


def whole_number(name: str, value: object, at_least: int) -> int:
    """The value as an int. Raises `BadInput` unless it is a whole number of at least `at_least`."""
    if not isinstance(value, Integral) or isinstance(value, bool) or value < at_least:
        raise BadInput(f"{name} must be a whole number of at least {at_least}, got {shown(value)}")
    return int(value)


def require_type(name: str, value: object, kind: type) -> None:
    """Raises `BadInput` unless the value is one.

    >>> require_type("problem", None, dict)
    Traceback (most recent call last):
    handgrad.errors.BadInput: problem must be a dict, got None
    """
    if not isinstance(value, kind):
        raise BadInput(f"{name} must be a {kind.__name__}, got {shown(value)}")


def require_flags(**given: Any) -> None:
    """Raises `BadInput` unless each is True or False: the text "no" would count as yes."""
    for name, value in given.items():
        if not isinstance(value, bool | np.bool_):
            raise BadInput(f"{name} must be True or False, got {shown(value)}")


def require_functions(optional: bool = False, **given: Any) -> None:
    """Raises `BadInput` unless each can be called, or is None where it is optional."""
    for name, value in given.items():
        if not callable(value) and not (optional and value is None):
            raise BadInput(f"{name} must be a function, got {shown(value)}")


def file_path(name: str, value: object) -> Path:
    """The value as a path. Raises `BadInput` unless it can name a file or folder."""
    if not isinstance(value, str | os.PathLike) or "\0" in str(value) or not str(value).strip():
        raise BadInput(f"{name} must name a file or folder, got {shown(value)}")
    try:
        Path(value).exists()
    except OSError as error:  # a name too long, a folder that may not be looked into
        said = f"{shown(value)} ({error.strerror})"
        raise BadInput(f"{name} must name a file or folder, got {said}") from None
    return Path(value)


def is_number(value: object) -> bool:
    """Whether the value is a real number; True and False are not."""
    return isinstance(value, Real) and not isinstance(value, bool)


def checked_array(
    name: str, array: np.ndarray, shape: tuple[int, ...], dtype: np.dtype[Any]
) -> np.ndarray:
    """A copy of the array, which cannot be written. Raises `BadInput` unless all of that fits."""
    try:
        array = np.asarray(array)
    except ValueError:
        raise BadInput(f"{name} must have shape {shape}, got rows of unequal length") from None
    if array.shape != shape:
        hint = ""
        if array.shape == shape[:1] and len(shape) == 2:
            hint = f": reshape it to {shape}, or f − {name} would broadcast to ({shape[0]},) * 2"
        raise BadInput(f"{name} must have shape {shape}, got {array.shape}{hint}")
    if not np.can_cast(array.dtype, dtype, "same_kind"):
        raise BadInput(f"{name} must hold numbers that fit {dtype}, got {array.dtype}")
    array = array.astype(dtype, order="C")  # always a copy: the caller's array stays the caller's
    if not np.isfinite(array).all():
        where = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise BadInput(f"{name} must be finite, got {array[where]} at {where}: mend or drop it")
    array.flags.writeable = False
    return array


def shown(value: object) -> str:
    """The value for a message, on one line; its type alone where that would be long.

    >>> shown("he"), shown([0] * 100)
    ("'he'", 'a list')
    """
    try:
        text = " ".join(repr(value).split())
    except Exception:  # a number of thousands of digits, or a class's own repr
        text = ""
    if 0 < len(text) <= 60:
        return text
    kind = type(value).__name__
    return f"{text[:57]}…" if kind == "str" else f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}"
