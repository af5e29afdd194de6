"""What is seen of each parameter at one point."""

import math
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from handgrad.checker.arrays import DOUBLE, NARROW, Params
from handgrad.checker.causes import Shares
from handgrad.checker.exactly import Exactly, NotExact, PointProof
from handgrad.checker.judgement import Judgement
from handgrad.checker.kinks import judge
from handgrad.checker.look import Look
from handgrad.checker.program import Program
from handgrad.checker.quick import cleared
from handgrad.checker.rounding import Results
from handgrad.errors import BadInput
from handgrad.exact.numbers import Dual
from handgrad.inputs import require_flags, whole_number

MOST_POINTS = 10_000
"""Points at which a program is checked."""

FAST = 1e-4
"""An error of this share is allowed on a GPU below float64."""


@dataclass(frozen=True)
class Options:
    """Those of `gradcheck`. Raises `BadInput` where one makes no sense."""

    points: int = 3
    directions: int | None = None
    rtol: float = 0.0
    resolve: float = 0.01
    delta: float = 0.01
    seed: int = 0
    entries: bool = False

    def __post_init__(self) -> None:
        for name, least in (("points", 1), ("directions", 1), ("seed", 0)):
            if name != "directions" or self.directions is not None:
                value = whole_number(name, getattr(self, name), least)
                object.__setattr__(self, name, value)
        require_flags(entries=self.entries)
        if self.points > MOST_POINTS:
            raise BadInput(f"points must be at most {MOST_POINTS:,}, got {self.points:,}")
        for name, low, high in (("delta", 0, 1), ("resolve", 0, math.inf), ("rtol", -1e-300, 1)):
            value = getattr(self, name)
            if not (isinstance(value, float | int | np.number) and low < value < high):
                between = f"between {max(low, 0)} and {high}" if high < math.inf else "above 0"
                raise BadInput(f"{name} must lie {between}, got {value}")

    def of(self, eps: float, on_a_gpu: bool = False) -> "Options":
        """What a program with this spacing can be held to.

        A GPU's tanh, and others, are approximations in float32: cuDNN's layers are off by 2e-5.
        """
        if on_a_gpu and eps > DOUBLE and self.rtol < FAST:
            return replace(self, rtol=FAST).of(eps)
        if eps <= NARROW and 64 * eps <= self.resolve:
            return self
        directions = 8 if self.directions is None and eps > NARROW else self.directions
        return replace(self, directions=directions, resolve=max(self.resolve, 64 * eps))


class Place:
    """One point: the loss around it, the gradients there, and what was seen of each parameter.

    number: 0 is the given point.
    """

    def __init__(self, number: int, program: Program, point: Params, results: Results) -> None:
        self.number, self.results = number, results
        self.slopes = program.slopes(point, results)
        self._program, self._given = program, point
        self._finer: Results | None = None
        self._exactly: Exactly | None = None
        self.value = self.slopes.value
        self.norms = {n: float(np.linalg.norm(g)) for n, g in results.gradients.items()}
        self.numbers = {n: g.size for n, g in results.gradients.items()}
        self.sizes = {n: self.slopes.size(n) for n in results.gradients}
        self.quick: dict[str, list[float]] = {}
        self.looks: dict[str, Look] = {}
        self.kinks: dict[str, Judgement] = {}
        self.proof: PointProof | None = None

    def use(self, number: type[Dual]) -> None:
        """Take slopes on exact numbers from now on, if the code runs on them here."""
        with suppress(NotExact):
            given = self.results.gradients
            self._exactly = Exactly(self._program, number, self._given, given)
            self.results = replace(self.results, noise=self._exactly.off)
            self.slopes.exact = self._exactly.slope_if_any

    def look(self, rng: np.random.Generator, options: Options) -> None:
        """All parameters at once, where no kink has to be certified, and each that is suspect."""
        if self._exactly is not None:
            with suppress(NotExact):
                self.proof = self._exactly.proof(rng)
            if self.proof is not None:
                return
        elif self.slopes.activations is None:
            self.quick = cleared(
                self.slopes,
                self.results,
                self.norms,
                self.sizes,
                rng,
                options.directions or 1,
                options.rtol,
                rough=self.number > 0,
            )
        for name in self.norms:
            if name not in self.quick:
                self._look_at(name, rng, options)
        treads = [s.tread for look in self.looks.values() for s in look.slopes if s.tread]
        wrong = [name for name, look in self.looks.items() if look.wrong]
        tread = float(np.median(treads)) if treads else 0.0
        if tread and not (wrong and all(self.looks[n].jumps_alone(tread) for n in wrong)):
            # The loss is a staircase along every direction, whether it showed or not.
            self.slopes.noise = max(self.slopes.noise, tread)
            for name in wrong:
                self._look_at(name, rng, options)

    def release(self) -> None:
        """Let go of all arrays, where nothing was suspect: they may be large."""
        if not self.looks:
            self.results = replace(self.results, gradients={}, around=[])
            self._given, self._exactly = {}, None
            self.slopes.release()

    def _look_at(self, name: str, rng: np.random.Generator, options: Options) -> None:
        method = self.slopes.method(name, rng)
        finer = None if self._exactly is not None else lambda: self._with_noise(rng)
        look = Look(method, self.results, rng, options.rtol, finer=finer)
        look.take(options.directions or 2)
        self.looks[name] = look
        if look.has_kink:
            self.kinks[name] = judge(look)
        elif not look.wrong and look.is_uneven and self.results.around:
            level = Look(method, self.results, rng, options.rtol, level=True)
            level.take(2)
            if level.fails and not level.has_kink:
                self.looks[name] = level

    def _with_noise(self, rng: np.random.Generator) -> Results:
        """The results with how far they are from smooth, measured once."""
        if self._finer is None:
            self._finer = self._program.with_noise(self.results, self._given, rng)
        return self._finer

    def seen(self, name: str) -> "Look | None":
        """The look that counts: at a kinked point, that at the entries without a kink."""
        judgement = self.kinks.get(name)
        return self.looks.get(name) if judgement is None else judgement.smooth

    @property
    def is_exact(self) -> bool:
        """Whether slopes here come from exact numbers."""
        return self.proof is not None or self._exactly is not None

    def fails(self, name: str) -> bool:
        """Whether the gradient is wrong here."""
        judgement, look = self.kinks.get(name), self.seen(name)
        kinked = judgement is not None and judgement.wrong is not None
        return kinked or (look is not None and look.fails)

    def counts(self, name: str) -> bool:
        """Whether the gradient was seen to be right here."""
        if name in self.quick or self.proof is not None:
            return True
        judgement, look = self.kinks.get(name), self.seen(name)
        right = look is None or not look.wrong
        return right and (judgement is None or judgement.counts)

    def shares(self, name: str) -> Shares | None:
        """Of each output in the gradient of an entry, where the program tells."""
        shares = self._program.shares
        if shares is None:
            return None
        return partial(shares, self._program.native.build(self._given), name)

    def has_no_gradient(self, name: str) -> bool:
        """Whether the slopes here are not those of any gradient; then the point is not counted."""
        look = self.looks[name]
        if name in self.kinks or self.number > 0 or look.is_linear():
            return False
        why = "its slopes along two directions and along their sum do not add up"
        self.kinks[name] = Judgement((), None, None, why, counts=False)
        return True

    def tolerances(self, name: str) -> list[float]:
        """Of each direction, in the units of the gradient."""
        if self.proof is not None:
            return [self.proof.off[name]]
        if name in self.quick:
            return [self.norms[name] * tolerance for tolerance in self.quick[name]]
        look = self.seen(name)
        return [] if look is None else look.tolerances
