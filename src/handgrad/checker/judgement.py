"""What is so of a gradient at a kinked point."""

from dataclasses import dataclass

from handgrad.checker.locate import Wrong
from handgrad.checker.look import Look


@dataclass(frozen=True)
class Sides:
    """The slopes to the left and to the right of the point along a direction, and their bound."""

    left: float
    right: float
    off: float

    @property
    def bend(self) -> float:
        """By how much the slope changes at the point."""
        return self.right - self.left

    def holds(self, value: float, more: float) -> bool:
        """Whether the value lies between the two slopes."""
        low, high = sorted((self.left, self.right))
        return low - self.off - more <= value <= high + self.off + more


@dataclass(frozen=True)
class Judgement:
    """What is so at a kinked point. counts: whether the gradient is right there; wrong: where it
    is not, and why; smooth: the look at the entries without a kink.
    """

    kinked: tuple[tuple[int, ...], ...]
    smooth: Look | None
    wrong: Wrong | None = None
    why: str | None = None
    counts: bool = True


def hull(sides: Sides) -> Sides:
    """The slopes and 0, which is what a ReLU's derivative at 0 makes of them."""
    low, high = sorted((sides.left, sides.right))
    return Sides(min(low, 0.0), max(high, 0.0), sides.off)
