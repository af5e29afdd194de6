"""How far rounding may have moved the gradients, and the loss, of the caller's program."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from handgrad.checker.arrays import Array

SAFETY = 16
"""How many times the spacing of its dtype, or the noise that was seen, a gradient may be off."""

SHAKE_SAFETY = 10
"""How many times as far off a program may be as it moves on average next to the point; see
`benchmarks/gradcheck.py`."""


@dataclass(frozen=True)
class Sound:
    """What was seen when the program was called at the given point, twice.

    loss, gradients, eps: see `Results`; loss_wander, wander: how far they differ from call to call
    (sums in another order, threads).
    """

    loss: float
    gradients: dict[str, Array]
    eps: float
    loss_wander: float = 0.0
    wander: Mapping[str, float] = field(default_factory=dict)

    @property
    def notes(self) -> list[str]:
        """What a reader should know of it."""
        found = {"the loss": self.loss_wander}
        found |= {f"the gradient of {n}": far for n, far in self.wander.items()}
        return [
            f"{what} differs by up to {far:.1e} from call to call: counted as rounding"
            for what, far in found.items()
            if far
        ]


@dataclass(frozen=True)
class Results:
    """A program's loss and gradients at a point, and at points that its dtype hardly tells from it.

    A right program in a narrow dtype gives the exact result for parameters a few roundings away
    (it is backward stable), so how far its results move there is how far they may be off.

    eps: the widest spacing among its dtypes; wander: how far each gradient differs from call to
    call; noise, loss_noise: how far gradients and loss are from smooth, where that was measured.
    """

    eps: float
    loss: float
    gradients: dict[str, Array]
    losses: list[float] = field(default_factory=list)
    around: list[dict[str, Array]] = field(default_factory=list)
    wander: Mapping[str, float] = field(default_factory=dict)
    noise: Mapping[str, Array] = field(default_factory=dict)
    loss_noise: float = 0.0

    def rounding(self, directions: Mapping[str, Array]) -> float:
        """How far rounding may have moved the gradient's product with a direction."""
        squares, moves = 0.0, np.zeros(len(self.around))
        for name, v in directions.items():
            g = self.gradients[name]
            for far, share in (
                (g, self.eps),
                (self.wander.get(name), 1),
                (self.noise.get(name), 1),
            ):
                if far is not None:
                    off = (far * v).ravel()
                    squares += share**2 * float(off @ off)
            if self.around:
                moves += [float(((moved[name] - g) * v).sum()) for moved in self.around]
        return max(SAFETY * math.sqrt(squares), SHAKE_SAFETY * _rms(moves))

    @property
    def is_finite(self) -> bool:
        """Whether the point lies where loss and gradients are defined."""
        finite = (np.isfinite(g).all() for g in self.gradients.values())
        return bool(np.isfinite(self.loss)) and all(finite)

    @property
    def loss_rounding(self) -> float:
        """How far rounding may have moved the loss."""
        shaken = SHAKE_SAFETY * _rms(np.array(self.losses) - self.loss)
        return max(SAFETY * max(self.eps * abs(self.loss), self.loss_noise), shaken)


def _rms(values: Array) -> float:
    return float(np.sqrt(np.mean(np.square(values)))) if len(values) else 0.0
