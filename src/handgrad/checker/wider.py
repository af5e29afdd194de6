"""A float32 program run in float64: the same code, given wider numbers, where it takes them."""

import re
import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from handgrad.checker.arrays import in_x64

IN_PLACE = re.compile(
    r"[a-z].*_|__setitem__|__i(add|sub|mul|truediv|floordiv|mod|pow|and|or|xor)__"
)
"""PyTorch's names of operations that write into their first argument."""


def in_float64(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, in which every float32 tensor that an operation meets is taken as float64.

    NumPy does that by itself, as soon as the parameters are float64. JAX does it with x64 enabled.
    """

    def wide(*arguments: Any, **keywords: Any) -> Any:
        with _widening(), in_x64():
            return function(*arguments, **keywords)

    return wide


def _widening() -> AbstractContextManager[Any]:
    if "torch" not in sys.modules:
        return nullcontext()
    import torch
    from torch.overrides import TorchFunctionMode

    def widened(a: Any) -> Any:
        if isinstance(a, torch.Tensor):
            return a.double() if a.dtype == torch.float32 else a
        if a is torch.float32:
            return torch.float64
        if type(a) in (list, tuple):
            return type(a)(map(widened, a))
        return a

    class Widening(TorchFunctionMode):
        def __torch_function__(
            self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
        ) -> Any:
            kwargs, name = kwargs or {}, getattr(func, "__name__", "")
            target = kwargs.get("out", args[0] if args and IN_PLACE.fullmatch(name) else None)
            if isinstance(target, torch.Tensor) and target.dtype == torch.float32:
                raise TypeError("a float32 tensor is written to, which would be lost")
            made = func(*map(widened, args), **{k: widened(v) for k, v in kwargs.items()})
            return widened(made)  # of a factory, or of `.float()`

    return Widening()
