"""Before anything is measured: can this loss, and can these gradients, be checked at all?"""

from collections.abc import Callable, Mapping
from itertools import combinations
from typing import Any

import numpy as np

from handgrad.gradcheck.landscape import Array, as_array
from handgrad.gradcheck.report import Refusal


class Native:
    """Translates between the caller's arrays or tensors and NumPy's, dtype and device kept."""

    def __init__(self, params: Mapping[str, Any]) -> None:
        if not isinstance(params, Mapping) or not params:
            raise Refusal(f"params must be a dict of name → float array, got {params!r:.80}")
        self.params = dict(params)
        for name, p in self.arrays().items():
            if p.dtype.kind != "f" or p.dtype.itemsize < 4:
                raise Refusal(f"params: {name} must be float32 or float64, got {p.dtype}")
            if not np.isfinite(p).all():
                raise Refusal(f"params: {name} must be finite, got {p[~np.isfinite(p)][0]}")

    def arrays(self) -> dict[str, Array]:
        """Copies of the caller's parameters."""
        return self.to_arrays(self.params)

    @staticmethod
    def to_arrays(values: Mapping[str, Any]) -> dict[str, Array]:
        """Copies of any values of the caller's kind."""
        return {name: np.array(as_array(value)) for name, value in values.items()}

    def build(self, point: Mapping[str, Array]) -> dict[str, Any]:
        """The caller's kind of parameters, with these numbers in them."""
        return {name: _like(self.params[name], p) for name, p in point.items()}

    @staticmethod
    def number(value: Any) -> float:
        """The loss as a float."""
        array = np.asarray(as_array(value))
        if array.size != 1:
            raise Refusal(
                f"loss must return one number, got shape {array.shape}: sum or average it"
            )
        return float(array.reshape(()))


def require_sound(native: Native, loss: Callable[[Any], Any], grads: Any) -> None:
    """Raise `Refusal`, naming what is wrong, unless loss and grads can be checked."""
    point = native.arrays()
    params = native.build(point)
    first, second = native.number(loss(params)), native.number(loss(params))
    if not np.isfinite(first):
        raise Refusal(f"loss must be finite at the given parameters, got {first}")
    if first != second:
        raise Refusal(
            f"loss must give the same number twice, got {first!r} and {second!r}: fix its random "
            "numbers (dropout, sampling, shuffling)"
        )
    _require_untouched("loss", point, native, params)
    given = grads(params) if callable(grads) else grads
    if callable(grads):
        _require_untouched("grads", point, native, params)
    if not isinstance(given, Mapping) or set(given) != set(point):
        names = sorted(given) if isinstance(given, Mapping) else type(given).__name__
        raise Refusal(f"grads must have the names of params, {sorted(point)}, got {names}")
    arrays = {name: np.asarray(as_array(g)) for name, g in given.items()}
    for name, g in arrays.items():
        if g.shape != point[name].shape:
            raise Refusal(f"grads: {name} must have shape {point[name].shape}, got {g.shape}")
        if not np.isfinite(g).all():
            raise Refusal(f"grads: {name} must be finite, got {g[~np.isfinite(g)][0]}")
    for one, other in combinations(arrays, 2):
        if np.shares_memory(arrays[one], arrays[other]):
            raise Refusal(f"grads: {one} and {other} must not share memory: copy one of them")
    if callable(grads):
        kept = {name: np.array(g) for name, g in arrays.items()}
        again = native.to_arrays(grads(params))
        for name in kept:
            if not np.array_equal(kept[name], again[name]):
                twice = np.allclose(again[name], 2 * kept[name])
                why = "it accumulates: clear it before each call" if twice else "fix its randomness"
                raise Refusal(f"grads: {name} must be the same in a second call, and is not: {why}")


def _require_untouched(
    who: str, point: Mapping[str, Array], native: Native, params: Mapping[str, Any]
) -> None:
    for name, p in native.to_arrays(params).items():
        if not np.array_equal(p, point[name]):
            raise Refusal(f"{who} must not change its parameters, but changed {name}")


def _like(original: Any, array: Array) -> Any:
    if not hasattr(original, "detach"):
        return np.array(array)
    import torch

    tensor = torch.tensor(array, dtype=original.dtype, device=original.device)
    return tensor.requires_grad_(original.requires_grad)
