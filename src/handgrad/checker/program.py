"""The caller's loss, gradients and activations, as functions of NumPy's arrays."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from handgrad.checker.arrays import DOUBLE, Array, Native, Params, drawn, eps_of, flat, size_of
from handgrad.checker.noise import noise_of
from handgrad.checker.rounding import SAFETY, Results, Sound
from handgrad.checker.slopes import Slopes
from handgrad.checker.stack import Stack
from handgrad.errors import BadInput

SHAKES = 8
"""A program with a reference is run at so many points next to the one that is checked."""


@dataclass(frozen=True)
class Program:
    """What the caller gave, and what its gradients are held to.

    around: params → the loss near them, with what autograd holds constant held as it is there;
    shares: (params, name, entry) → the derivatives of all outputs, and their upstream gradients;
    both: params → the loss and the gradients, of a program that gives the same ones again; known:
    those at the given point;
    rough: how closely the gradients are known, where they come from differences themselves;
    sound: what was seen when it was called twice, see `preflight`.
    """

    native: Native
    loss: Callable[[Any], Any]
    grads: Any
    activations: Callable[[Any], Any] | None = None
    structure: Stack | None = None
    reference: Callable[[Any], Any] | None = None
    around: Callable[[Any], Callable[[Any], Any]] | None = None
    shares: Callable[[Any, str, int], tuple[Array, Array]] | None = None
    both: Callable[[Any], tuple[Any, Any]] | None = None
    known: tuple[Any, Any] | None = None
    rough: float = 0.0
    sound: Sound | None = None

    def loss_at(self, point: Params) -> float:
        """The caller's loss, whatever its dtype."""
        return self.native.number(self.loss(self.native.build(point)))

    def both_at(self, point: Params) -> tuple[float, dict[str, Array], float]:
        """The caller's loss, its gradients in float64, and the widest spacing among the dtypes."""
        built = self.native.build(point)
        if self.both is not None:
            value, given = self.both(built)
        else:
            value = self.loss(built)  # first: some keep its activations for the gradients
            given = self.grads(built) if callable(self.grads) else self.grads
        arrays = {
            n: g.astype(np.float64, copy=False) for n, g in self.native.to_arrays(given).items()
        }
        return self.native.number(value), arrays, max(self.native.eps, *map(eps_of, given.values()))

    def layers_at(self, point: Params) -> dict[str, Array] | None:
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

    def slopes(self, point: Params, results: Results) -> Slopes:
        """The loss around the point, or the reference where there is one, then in float64."""
        wide, loss = self.reference is not None, self.reference or self.loss
        if wide:
            point = {name: p.astype(np.float64) for name, p in point.items()}
        near = self.native.near(point, wide)
        if self.around is not None:
            loss = self.around(near(point))

        def activations(p: Params) -> Array:
            if self.activations is not None:
                return flat(self.activations(near(p)))
            assert self.structure is not None
            return flat(self.structure.activations(p))

        return Slopes(
            lambda p: self.native.number(loss(near(p))),
            point,
            None if self.activations is None and self.structure is None else activations,
            value=None if wide else results.loss,
            noise=0.0 if wide or self.sound is None else self.sound.loss_wander,
        )

    def results(
        self, point: Params, rng: np.random.Generator, known: Sound | None = None
    ) -> Results:
        """The loss and the gradients at the point and, for a reference, around it.

        known: what was seen there before.
        """
        around: list[dict[str, Array]] = []
        for _ in range(SHAKES if self.reference is not None else 0):
            moved = {}
            for name, p in point.items():
                size = np.where(p, abs(p), float(abs(p).max()) or 1.0)  # a 0 moves as its peers do
                moved[name] = p + self.native.eps * size * rng.choice([-1, 1], p.shape)
            around.append(self.native.rounded(moved))
        if known is None:
            loss, gradients, eps = self.both_at(point)
        else:
            loss, gradients, eps = known.loss, known.gradients, known.eps
        wander = {} if self.sound is None else self.sound.wander
        found = [self.both_at(p) for p in around]
        losses, others = [r[0] for r in found], [r[1] for r in found]
        eps = max(eps, self.rough)
        results = Results(eps, loss, gradients, losses, others, wander)
        if self.reference is not None and self.native.eps < DOUBLE:
            return self.with_noise(results, point, rng)  # it may compute in less than its dtype
        return results

    def with_noise(self, results: Results, point: Params, rng: np.random.Generator) -> Results:
        """The results, and how far they are from smooth on a line, as a narrow step makes them."""
        if not callable(self.grads):
            return results
        try:
            lines = [self._line(point, rng, 2.0**-k) for k in (16, 18)]
        except Exception:  # the program is not defined so far from the point
            return results
        noise = {
            name: noise_of(np.array([[g[name] for g in gradients] for _, gradients in lines]))
            for name in point
        }
        losses = float(noise_of(np.array([losses for losses, _ in lines])))
        return replace(results, loss_noise=losses, noise=noise)

    def entry_rounding(self, seed: int) -> dict[str, float]:
        """How far rounding may move an entry of each gradient, measured at the given point."""
        point, rng = self.native.arrays(), np.random.default_rng(seed)
        noise = self.with_noise(self.results(point, rng), point, rng).noise
        return {name: SAFETY * float(abs(far).max()) for name, far in noise.items()}

    def _line(
        self, point: Params, rng: np.random.Generator, step: float
    ) -> tuple[list[float], list[dict[str, Array]]]:
        """Losses and gradients at seven points on a line, `step` of a parameter's size apart."""
        direction = {n: step * size_of(p) * drawn(rng, p.shape) for n, p in point.items()}
        line = [
            self.native.rounded({n: p + k * direction[n] for n, p in point.items()})
            for k in range(-3, 4)
        ]
        found = [self.both_at(p) for p in line]
        return [loss for loss, _, _ in found], [gradients for _, gradients, _ in found]
