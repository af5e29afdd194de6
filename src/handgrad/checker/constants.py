"""What autograd is told not to differentiate: what is computed under `no_grad`, and `.detach()`.

For autograd they are constants, and the slope that its gradient is compared with must hold them
constant too. So they are recorded at the point, and given back at every point nearby.

A `torch.autograd.Function` runs its forward pass without gradients as well, but that is PyTorch's
doing, and its backward pass differentiates it. The two are told apart by who switched them off.
"""

import sys
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from handgrad.checker.wider import IN_PLACE

DETACHING = Tensor.detach, Tensor.detach_, torch.detach, Tensor.data.__get__  # type: ignore[attr-defined]
SWITCH = torch._C._set_grad_enabled


class Constants(TorchFunctionMode):
    """Records them while the program runs, or gives them back. places: the lines that made them."""

    def __init__(self, recorded: list[Tensor] | None = None) -> None:
        super().__init__()
        self.kept: list[Tensor] = []
        self.places: list[str] = []
        self._given: Iterator[Tensor] | None = None if recorded is None else iter(recorded)
        self._off = False  # the program itself switched gradients off

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is SWITCH:
            self._off = not args[0] and (self._off or torch.is_grad_enabled())
        made = func(*args, **(kwargs or {}))
        off = self._off or torch.is_inference_mode_enabled()
        constant = off or (func in DETACHING and torch.is_grad_enabled())
        if not (constant and isinstance(made, Tensor)):
            return made
        name = getattr(func, "__name__", "")
        writes = IN_PLACE.fullmatch(name) is not None or made is (kwargs or {}).get("out")
        return self._held(made, writes)

    def _held(self, made: Tensor, writes: bool) -> Tensor:
        if self._given is None:
            self.kept.append(made.detach().clone())
            self.places.append(_place())
            return made
        value = next(self._given, None)
        if value is None or value.shape != made.shape or value.dtype != made.dtype:
            return made  # the program took another way
        if writes:
            with torch._C.DisableTorchFunction():
                return made.copy_(value)
        return value.clone()


def _place() -> str:
    """The line of the caller's that is running: the innermost one outside of PyTorch and this."""
    frame = sys._getframe(1)
    while frame is not None and frame.f_back is not None:
        module = frame.f_globals.get("__name__", "")
        if not module.startswith(("torch", "handgrad", "contextlib")):
            break
        frame = frame.f_back
    return f"{frame.f_code.co_filename.rsplit('/', 1)[-1]}:{frame.f_lineno}"
