"""The caller's code, in arrays or tensors, as functions of NumPy's arrays."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from handgrad.checker.landscape import SAFETY, Array, Landscape, Point, as_array, flat
from handgrad.checker.stack import Stack
from handgrad.errors import BadInput

SHAKES, SHAKE_SAFETY = 8, 10
"""A program with a reference is run at so many points next to the one that is checked, and may be
so many times as far off as it moves there on average; see `benchmarks/gradcheck.py`."""

NARROW = 1e-6
"""The spacing at 1 that dtypes narrower than float32 exceed."""


class Native:
    """Translates between the caller's arrays or tensors and NumPy's, dtype and device kept.

    narrow: whether dtypes below float32 are taken; eps: of the widest spacing among the dtypes.
    """

    def __init__(self, params: Mapping[str, Any], narrow: bool = False) -> None:
        if not isinstance(params, Mapping) or not params:
            raise BadInput(f"params must be a dict of name → float array, got {params!r:.80}")
        self.params = dict(params)
        for name, p in self.arrays().items():
            if p.dtype.kind != "f":
                raise BadInput(f"params: {name} must be of a float dtype, got {p.dtype}")
            if not p.size:
                raise BadInput(f"params: {name} must not be empty, got shape {p.shape}")
            if not np.isfinite(p).all():
                raise BadInput(f"params: {name} must be finite, got {p[~np.isfinite(p)][0]}")
        self.eps = max(map(eps_of, self.params.values()))
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

    def near(self, point: Point, wide: bool = False) -> Callable[[Point], dict[str, Any]]:
        """`build` for points near this one: a parameter that has not moved is built once."""
        built = self.build(point, wide)
        return lambda p: {
            name: built[name] if a is point[name] else _like(self.params[name], a, wide)
            for name, a in p.items()
        }

    def rounded(self, point: Mapping[str, Array]) -> dict[str, Array]:
        """The nearest point that the caller's dtypes can hold."""
        return self.to_arrays(self.build(point))

    @staticmethod
    def number(value: Any) -> float:
        """The loss as a float."""
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


@dataclass(frozen=True)
class Code:
    """What the caller gave, and what its gradients are held to.

    wander, loss_wander: how far gradients and loss differ from call to call, see `preflight`.
    """

    native: Native
    loss: Callable[[Any], Any]
    grads: Any
    activations: Callable[[Any], Any] | None = None
    structure: Stack | None = None
    reference: Callable[[Any], Any] | None = None
    wander: Mapping[str, float] = field(default_factory=dict)
    loss_wander: float = 0.0

    def loss_at(self, point: Point) -> float:
        """The caller's loss, whatever its dtype."""
        return self.native.number(self.loss(self.native.build(point)))

    def gradients_at(self, point: Point) -> tuple[dict[str, Array], float]:
        """The caller's gradients, in float64, and the widest spacing among the dtypes."""
        given = self.grads(self.native.build(point)) if callable(self.grads) else self.grads
        arrays = {n: g.astype(np.float64) for n, g in self.native.to_arrays(given).items()}
        return arrays, max(self.native.eps, *map(eps_of, given.values()))

    def layers_at(self, point: Point) -> dict[str, Array] | None:
        """What enters the ReLUs, by the layer's name; None if nobody said."""
        if self.activations is None:
            return None if self.structure is None else self.structure.activations(point)
        z = self.activations(self.native.build(point, self.reference is not None))
        if z is None or (isinstance(z, Mapping | list | tuple) and not z):
            raise BadInput(f"activations must return what enters the ReLUs, got {z!r}")
        if not isinstance(z, Mapping):
            z = {
                f"layer {k}": a for k, a in enumerate(z if isinstance(z, list | tuple) else [z], 1)
            }
        return self.native.to_arrays(z)

    def landscape(
        self, point: Point, shaken: "Shaken", rng: np.random.Generator, like: Landscape | None
    ) -> Landscape:
        """The loss around the point, or the reference where there is one, then in float64.

        like: the landscape of another point, if there is one already.
        """
        wide, loss = self.reference is not None, self.reference or self.loss
        if wide:
            point = {name: p.astype(np.float64) for name, p in point.items()}
        near = self.native.near(point, wide)

        def activations(p: Point) -> Array:
            if self.activations is not None:
                return flat(self.activations(near(p)))
            assert self.structure is not None
            return flat(self.structure.activations(p))

        def complex_loss(p: Point) -> complex:
            value = np.asarray(loss(dict(p)))
            if value.dtype.kind != "c":
                raise TypeError("the imaginary part was lost on the way")
            return complex(value.reshape(()))

        takes_complex = all(
            type(p) is np.ndarray and p.dtype == np.float64 for p in near(point).values()
        )
        return Landscape(
            lambda p: self.native.number(loss(near(p))),
            point,
            None if self.activations is None and self.structure is None else activations,
            rng,
            complex_loss=complex_loss if takes_complex else None,
            frozen=None if self.structure is None else self.structure.frozen(point),
            rounding=shaken.rounding,
            like=like,
            value=None if wide else shaken.loss,
            wander=0.0 if wide else self.loss_wander,
        )

    def shake(self, point: Point, rng: np.random.Generator) -> "Shaken":
        """The loss and the gradients at the point and, for a reference, around it."""
        around = []
        for _ in range(SHAKES if self.reference is not None else 0):
            moved = {}
            for name, p in point.items():
                size = np.where(p, abs(p), float(abs(p).max()) or 1.0)  # a 0 moves as its peers do
                moved[name] = p + self.native.eps * size * rng.choice([-1, 1], p.shape)
            around.append(self.native.rounded(moved))
        loss = self.loss_at(point)  # before the gradients: some keep its activations for them
        gradients, eps = self.gradients_at(point)
        results = [(self.loss_at(p), self.gradients_at(p)[0]) for p in around]
        losses, there = [r[0] for r in results], [r[1] for r in results]
        return Shaken(eps, loss, gradients, losses, there, self.wander)


@dataclass(frozen=True)
class Shaken:
    """A program's results at a point, and at points that its dtype can hardly tell from it.

    A right program in a narrow dtype gives the exact result for parameters a few roundings away
    (it is backward stable), so how far its results move there is how far they may be off.
    """

    eps: float
    loss: float
    gradients: dict[str, Array]
    losses: list[float]
    around: list[dict[str, Array]]
    wander: Mapping[str, float] = field(default_factory=dict)

    def rounding(self, name: str, direction: Array) -> float:
        """How far rounding may have moved the gradient's product with a direction."""
        g = self.gradients[name]
        own = SAFETY * self.eps * float(np.linalg.norm(g * direction))
        moves = [float(((moved[name] - g) * direction).sum()) for moved in self.around]
        far = SAFETY * self.wander.get(name, 0.0) * float(np.linalg.norm(direction))
        return max(own, SHAKE_SAFETY * _rms(moves), far)

    @property
    def is_finite(self) -> bool:
        """Whether the point lies where loss and gradients are defined."""
        finite = (np.isfinite(g).all() for g in self.gradients.values())
        return bool(np.isfinite(self.loss)) and all(finite)

    @property
    def loss_rounding(self) -> float:
        """How far rounding may have moved the loss."""
        moves = [loss - self.loss for loss in self.losses]
        return max(SAFETY * self.eps * abs(self.loss), SHAKE_SAFETY * _rms(moves))


def _rms(values: list[float]) -> float:
    return float(np.sqrt(np.mean(np.square(values)))) if values else 0.0


def _like(original: Any, array: Array, wide: bool) -> Any:
    if not hasattr(original, "detach"):
        return np.asarray(array, dtype=np.float64 if wide else np.asarray(original).dtype)
    import torch

    dtype = torch.float64 if wide else original.dtype
    tensor = torch.from_numpy(np.asarray(array)).to(original.device, dtype)
    return tensor.requires_grad_(original.requires_grad)


def eps_of(original: Any) -> float:
    if not hasattr(original, "detach"):
        return float(np.finfo(np.asarray(original).dtype).eps)
    import torch

    return float(torch.finfo(original.dtype).eps)
