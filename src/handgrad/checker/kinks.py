"""A point on a kink: is the gradient one that some choice of slopes at the kinks produces?

At max(x₁, x₂) with x₁ = x₂, or at |0|, many gradients are right and most are wrong. In the order of
the code:

1. The kinked entries are found by halving. All others are checked as at any point.
2. Each kinked entry alone: its gradient lies between its two slopes. Where one entry feeds two
   kinks that need not be so: between them and 0 it is not counted, outside it is wrong.
3. Entries whose loss bends the same way and that bend together (a tie) form a group. Along a
   direction in which the group does not bend, the gradient must be the slope: so the shares of a
   tie sum to one.
   The same along the gradient itself and along random directions: between the two slopes.
4. Where it is not, kinks that cancel each other may meet there (an entry that feeds two). Next to
   the point they are apart: a gradient that takes a share of each of their jumps is not counted,
   any other is wrong.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from handgrad.checker.arrays import Array, drawn
from handgrad.checker.judgement import Judgement, Sides, hull
from handgrad.checker.locate import Wrong
from handgrad.checker.look import Look
from handgrad.checker.rounding import SAFETY

MOST_KINKED = 64
"""Kinked entries that are looked at; the rest is not."""

TRIES = 4
"""How often the others are searched again: opposite kinks hide each other along a direction."""

LINES, LINE, OFF = 32, 2.0**-8, 2.0**-11
"""How many lines are searched for kinks, how long they are, and how far from the point."""

FLAT = 1e-3
"""A bend below this share of the single entries' is none."""


def judge(look: Look) -> Judgement:
    """The gradient of one parameter at a point where its loss has a kink."""
    return _Kinks(look).judge()


class _Kinks:
    def __init__(self, look: Look) -> None:
        self.look, self.shape = look, look.gradient.shape
        self.name = look.method.name
        self.entries: list[int] = []
        self.counts = True
        self.plain = replace(look.results, around=[])

    def side(self, direction: Array) -> Sides:
        slope = self.look.method.close(direction)
        if slope.sides is None:
            return Sides(slope.value, slope.value, slope.tolerance)
        (left, off_left), (right, off_right) = slope.sides
        return Sides(left, right, max(off_left, off_right))

    def more(self, direction: Array) -> float:
        """By how much the gradient may be off. What it does next to the kink says nothing here."""
        rounding = SAFETY * self.look.results.eps * float(abs(self.look.gradient * direction).sum())
        return max(rounding, self.plain.rounding({self.name: direction})) + self.look.allowed(
            direction
        )

    def judge(self) -> Judgement:
        smooth = self._split()
        places = tuple(self._place(e) for e in self.entries[:MOST_KINKED])
        if smooth is not None and smooth.has_kink:
            return Judgement(places, None, counts=False)
        if smooth is not None and smooth.fails:
            return Judgement(places, smooth)
        if len(self.entries) > MOST_KINKED and (wrong := self._wrong_along(np.ones(self.shape))):
            return Judgement(places, None, *wrong)
        alone = {e: self.side(self._unit(e)) for e in self.entries[:MOST_KINKED]}
        self.counts = len(self.entries) <= MOST_KINKED
        for entry, side in alone.items():
            value, more = float(self.look.gradient.flat[entry]), self.more(self._unit(entry))
            if math.isinf(side.off):
                return Judgement(
                    places, smooth, None, f"{list(self._place(entry))} has no slope", False
                )
            if not side.holds(value, more):
                if not hull(side).holds(value, more) and not self._reaches(
                    self._unit(entry), value
                ):
                    return Judgement(places, smooth, *self._outside(entry, value, side))
                self.counts = False
        if not self.counts:
            return Judgement(places, smooth, counts=False)
        for group in self._groups(alone):
            wrong = self._wrong_in(group, alone)
            if wrong is not None:
                return Judgement(places, smooth, *wrong)
        return Judgement(places, smooth, counts=self.counts)

    def _kinked(self, block: Array) -> Iterator[int]:
        """The entries along which the loss bends or has no slope, by halving."""
        side = self.side(self._on(block, drawn(self.look.rng, block.shape)))
        if not side.bend and math.isfinite(side.off):
            return
        if block.size == 1:
            yield int(block[0])
            return
        for half in np.array_split(block, 2):
            yield from self._kinked(half)

    def _split(self) -> Look | None:
        """Finds the kinked entries; the usual look at all the others."""
        look, rest = self.look, np.ones(self.shape, dtype=bool)
        for _ in range(TRIES):
            for entry in self._kinked(np.flatnonzero(rest)):
                self.entries.append(entry)
                if len(self.entries) > MOST_KINKED:
                    return None
            rest.flat[self.entries] = False
            if not rest.any():
                return None
            others = Look(look.method, look.results, look.rng, look.rtol, rest, look.finer)
            others.take(2)
            if not others.has_kink:
                break
        return others

    def _groups(self, alone: dict[int, Sides]) -> list[list[int]]:
        """Entries that bend one way and together, each group with two at the least."""
        found = []
        for sign in (1, -1):
            same = [e for e, side in alone.items() if side.bend * sign > 0]
            if len(same) > 1 and not self._independent(same, alone):
                found += self._components(same, alone)
        return [group for group in found if len(group) > 1]

    def _independent(self, entries: Sequence[int], alone: dict[int, Sides]) -> bool:
        """Whether the bends of all just add up, with any signs."""
        for k in range(3):
            signs = np.ones(len(entries)) if k == 0 else self.look.rng.choice([-1, 1], len(entries))
            if not self._adds(dict(zip(entries, signs, strict=True)), alone, len(entries)):
                return False
        return True

    def _components(self, entries: Sequence[int], alone: dict[int, Sides]) -> list[list[int]]:
        groups: list[list[int]] = []
        for entry in entries:
            joined = [entry]
            apart = []
            for group in groups:
                if self._apart(entry, group, alone):
                    apart.append(group)
                else:
                    joined += group
            groups = [*apart, joined]
        return groups

    def _apart(self, entry: int, group: list[int], alone: dict[int, Sides]) -> bool:
        """Whether the bends of the entry and the group just add up."""
        rng, count = self.look.rng, len(group)
        weights = rng.uniform(0.5, 1.5, count) * rng.choice([-1, 1], count)
        parts = dict(zip(group, weights, strict=True))
        bend = self._bend(parts, alone)
        return all(self._adds({**parts, entry: s}, alone, 1 + bend) for s in (1.0, -1.0))

    def _adds(self, parts: dict[int, float], alone: dict[int, Sides], expected: float) -> bool:
        return abs(self._bend(parts, alone) - expected) <= 10 * FLAT * len(parts)

    def _bend(self, parts: dict[int, float], alone: dict[int, Sides]) -> float:
        """Of a combination in which each entry alone would bend by 1."""
        return abs(self.side(self._combined(parts, alone)).bend)

    def _combined(self, parts: dict[int, float], alone: dict[int, Sides]) -> Array:
        return self._on(list(parts), [w / abs(alone[e].bend) for e, w in parts.items()])

    def _wrong_in(self, group: list[int], alone: dict[int, Sides]) -> tuple[Wrong, str] | None:
        """A direction of the group along which the gradient is none of the loss's."""
        first = group[0]
        flat = [self._on(group, 1.0), self._combined(dict.fromkeys(group, 1.0), alone)]
        flat += [
            self._combined({first: 1.0, other: sign}, alone)
            for other in group[1:]
            for sign in (1.0, -1.0)
        ]
        for direction in [*flat, *self._probes(group)]:
            side = self.side(direction)
            weight = float((abs(direction.flat[group]) * [abs(alone[e].bend) for e in group]).sum())
            value, more = self.look.along(direction), self.more(direction)
            if not side.holds(value, more + FLAT * weight):
                if not self._reaches(direction, value):
                    return self._disagrees(group, value, side)
                self.counts = False
        return None

    def _wrong_along(self, direction: Array) -> tuple[Wrong, str] | None:
        """What is wrong along a direction in which the loss does not bend."""
        side, value = self.side(direction), self.look.along(direction)
        if side.bend or side.holds(value, self.more(direction)) or self._reaches(direction, value):
            return None
        worst = int(np.argmax(abs(self.look.gradient)))
        place = self._place(worst)
        why = f"all entries together must add up to {side.left:.6g}, and add up to {value:.6g}"
        return Wrong("dense", place, float(self.look.gradient.flat[worst]), math.nan), why

    def _reaches(self, direction: Array, value: float) -> bool:
        """Whether some choice of slopes at all the kinks gives this product with the direction.

        At a point a little off, the kinks that meet here are apart. Along a line through it the
        slope starts at one value and jumps at each; a choice takes any share of each jump.
        """
        slopes, name = self.look.method.slopes, self.name
        length = self.look.method.size / float(np.linalg.norm(direction)) * direction.size**0.5
        for _ in range(LINES):
            off = {
                n: p + OFF * slopes.size(n) * drawn(self.look.rng, p.shape)
                for n, p in slopes.point.items()
            }
            steps = np.linspace(-LINE, LINE, 65) * length
            values = [slopes.loss({**off, name: off[name] + t * direction}) for t in steps]
            along = np.diff(values) / np.diff(steps)
            jumps = np.diff(along)
            low, high = (along[0] + jumps[jumps * sign > 0].sum() for sign in (-1, 1))
            slack = 0.02 * (high - low)
            if low - slack <= value <= high + slack:
                return True
        return False

    def _probes(self, group: list[int]) -> Iterator[Array]:
        """The gradient itself, and random directions within the group."""
        for values in (self.look.gradient.flat[group], -np.sign(self.look.gradient.flat[group])):
            if np.any(values):
                yield self._on(group, values)
        for _ in range(4):
            yield self._on(group, drawn(self.look.rng, (len(group),)))

    def _outside(self, entry: int, value: float, side: Sides) -> tuple[Wrong, str]:
        low, high = sorted((side.left, side.right))
        place = self._place(entry)
        nearest = low if value < low else high
        why = f"the loss has a kink there, and its slopes are {low:.6g} and {high:.6g}"
        return Wrong(f"entries [{list(place)}]", place, value, nearest), why

    def _disagrees(self, group: list[int], value: float, side: Sides) -> tuple[Wrong, str]:
        places = [list(self._place(e)) for e in sorted(group)]
        low, high = sorted((side.left, side.right))
        want = (
            f"{low:.6g}"
            if abs(high - low) <= FLAT * max(abs(low), abs(high))
            else (f"a number between {low:.6g} and {high:.6g}")
        )
        why = (
            "these entries share a kink: along one direction their gradients must add up to "
            f"{want}, and add up to {value:.6g}"
        )
        entry = max(group, key=lambda e: abs(self.look.gradient.flat[e]))
        given = float(self.look.gradient.flat[entry])
        return Wrong(f"entries {places}", self._place(entry), given, math.nan), why

    def _unit(self, entry: int) -> Array:
        return self._on([entry], 1.0)

    def _on(self, entries: Array | Sequence[int], values: Array | Sequence[float] | float) -> Array:
        """The direction with these values at the entries and 0 elsewhere."""
        direction = np.zeros(self.shape)
        direction.flat[entries] = values
        return direction

    def _place(self, entry: int) -> tuple[int, ...]:
        return tuple(int(i) for i in np.unravel_index(entry, self.shape))
