"""What JSON can hold."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np


def plain(value: Any) -> Any:
    """Lists for arrays and tuples, None for numbers that are not finite, which JSON does not have.

    >>> plain({"a": np.array([1.0, np.nan]), "b": (2, "c")})
    {'a': [1.0, None], 'b': [2, 'c']}
    """
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
