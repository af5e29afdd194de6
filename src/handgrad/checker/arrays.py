"""The caller's arrays and tensors as NumPy's arrays, and back."""

import math
import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np

from handgrad.errors import BadInput

Array = np.ndarray
Params = Mapping[str, Array]

DOUBLE = 1e-9
"""The spacing at 1 that float64 stays below, and no other dtype."""

NARROW = 1e-6
"""The spacing at 1 that dtypes narrower than float32 exceed."""


class Native:
    """Translates between the caller's arrays or tensors and NumPy's, dtype and device kept.

    narrow: whether dtypes below float32 are taken; eps: of the widest spacing among the dtypes;
    on_a_gpu: whether one lies there.
    """

    def __init__(self, params: Mapping[str, Any], narrow: bool = False) -> None:
        if not isinstance(params, Mapping) or not params:
            raise BadInput(f"params must be a dict of name → float array, got {params!r:.80}")
        self.params = dict(params)
        for name, p in ((name, np.asarray(as_array(p))) for name, p in params.items()):
            if p.dtype.kind != "f":
                raise BadInput(f"params: {name} must be of a float dtype, got {p.dtype}")
            if not p.size:
                raise BadInput(f"params: {name} must not be empty, got shape {p.shape}")
            if not np.isfinite(p).all():
                raise BadInput(f"params: {name} must be finite, got {p[~np.isfinite(p)][0]}")
        self.eps = max(map(eps_of, self.params.values()))
        self.on_a_gpu = any(getattr(p, "is_cuda", False) for p in self.params.values())
        if self.eps > NARROW and not narrow:
            raise BadInput(
                "params must be float32 or float64, or come with reference=, a float64 loss that "
                "they can be held to"
            )

    def arrays(self) -> dict[str, Array]:
        """Copies of the caller's parameters."""
        return self.to_arrays(self.params)

    @staticmethod
    def to_arrays(values: Mapping[str, Any]) -> dict[str, Array]:
        """Copies of any values of the caller's kind."""
        return {name: np.array(as_array(value)) for name, value in values.items()}

    def build(self, point: Mapping[str, Array], wide: bool = False) -> dict[str, Any]:
        """The caller's kind of parameters, with these numbers in them; in float64 if `wide`."""
        return {name: _like(self.params[name], np.array(p), wide) for name, p in point.items()}

    def near(self, point: Params, wide: bool = False) -> Callable[[Params], dict[str, Any]]:
        """`build` for points near this one: a parameter that has not moved is built once."""
        built: dict[str, Any] = {}

        def parameter(name: str, a: Array) -> Any:
            if a is not point[name]:
                return _like(self.params[name], a, wide)
            if name not in built:
                built[name] = _like(self.params[name], np.array(a), wide)
            return built[name]

        return lambda p: {name: parameter(name, a) for name, a in p.items()}

    def rounded(self, point: Mapping[str, Array]) -> dict[str, Array]:
        """The nearest point that the caller's dtypes can hold."""
        return dict(point) if self.eps < DOUBLE else self.to_arrays(self.build(point))

    @staticmethod
    def number(value: Any) -> float:
        """The loss as a float."""
        if hasattr(value, "detach") and value.is_floating_point() and value.numel() == 1:
            return float(value.item())
        try:
            array = np.asarray(as_array(value))
        except ValueError:  # ragged
            array = np.asarray(None)
        if array.dtype.kind not in "fiu":
            raise BadInput(f"loss must return one real number, got {type(value).__name__}")
        if array.size != 1:
            raise BadInput(
                f"loss must return one number, got shape {array.shape}: sum or average it"
            )
        return float(array.reshape(()))


def flat(activations: Any) -> Array:
    """Pre-activations in any form (an array, a list, a dict of arrays) as one vector."""
    if isinstance(activations, Mapping):
        activations = list(activations.values())
    if isinstance(activations, list | tuple):
        return np.concatenate([flat(a) for a in activations])
    return np.asarray(as_array(activations), dtype=np.float64).ravel()


def as_array(value: Any) -> Any:
    """A tensor as NumPy's array, which may share its memory; anything else as it is."""
    if is_jax(value):
        array = np.asarray(value)
        return array.astype(np.float32) if array.dtype.kind == "V" else array  # bfloat16 and others
    if not hasattr(value, "detach"):
        return value
    tensor = value.detach().cpu().to_dense()
    narrow = tensor.is_floating_point() and tensor.element_size() < 4  # NumPy has no bfloat16
    return (tensor.float() if narrow else tensor).numpy()


def jax_in_use() -> Any:
    """The package, where somebody has imported it; else None."""
    return sys.modules.get("jax")


def is_jax(value: Any) -> bool:
    """Whether it is JAX's array."""
    jax = jax_in_use()
    return jax is not None and isinstance(value, jax.Array)


def in_x64() -> AbstractContextManager[Any]:
    """JAX, where it is in use, computes in float64 inside."""
    jax = jax_in_use()
    return nullcontext() if jax is None else jax.enable_x64(True)


def eps_of(original: Any) -> float:
    """The spacing at 1 of an array's or a tensor's dtype."""
    if is_jax(original):
        return float(jax_in_use().numpy.finfo(original.dtype).eps)
    if not hasattr(original, "detach"):
        return float(np.finfo(np.asarray(original).dtype).eps)
    import torch

    return float(torch.finfo(original.dtype).eps)


def size_of(array: Array) -> float:
    """The typical size of an array's entries; 1 where all are zero."""
    square = float(np.vdot(array, array))
    if 1e-30 < square < math.inf:
        return math.sqrt(square / array.size)
    largest = float(abs(array).max(initial=0.0)) or 1.0  # the square is too small, or too large
    return largest * float(np.sqrt(np.mean(np.square(array / largest, dtype=np.float64)))) or 1.0


def drawn(rng: np.random.Generator, shape: tuple[int, ...], size: float = 1.0) -> Array:
    """A random direction: every entry uniform, with mean 0 and standard deviation `size`."""
    v = rng.random(shape)
    v -= 0.5
    v *= 12**0.5 * size
    return v


def _like(original: Any, array: Array, wide: bool) -> Any:
    if is_jax(original):
        with in_x64():
            return jax_in_use().numpy.asarray(array, "float64" if wide else original.dtype)
    if not hasattr(original, "detach"):
        return np.asarray(array, dtype=np.float64 if wide else np.asarray(original).dtype)
    import torch

    dtype = torch.float64 if wide else original.dtype
    tensor = torch.from_numpy(np.asarray(array)).to(original.device, dtype)
    return tensor.requires_grad_(original.requires_grad)
