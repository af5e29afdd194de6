"""What a gradient check found, to be read by a person or a program."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from handgrad.checker.table import Row, html
from handgrad.plain import plain

PASS, FAIL = "pass", "fail"
INCONCLUSIVE, NONDIFFERENTIABLE = "inconclusive", "nondifferentiable"
WORST_FIRST = (FAIL, NONDIFFERENTIABLE, INCONCLUSIVE, PASS)


FORMAT = "handgrad check 1"

NAME = 12
"""Columns for a parameter's name, and more where one is longer."""

EXACT, CELL, DIFFERENCES = "exact numbers", "differences, kinks certified", "differences"

SMALL = 1e-4
"""An error below this share of the gradient is seldom a wrong formula."""


@dataclass(frozen=True)
class ParameterReport:
    """What was found for one parameter.

    >>> import numpy as np
    >>> from handgrad import gradcheck
    >>> params, minus = {"w": np.ones(2)}, lambda p: {"w": -p["w"]}
    >>> w = gradcheck(lambda p: (p["w"] ** 2).sum() / 2, params, minus, seed=1)["w"]
    >>> w.verdict, w.cause, w.place
    ('fail', 'its sign is wrong', '[0] is -1, should be 1')
    >>> w.line() == str(w), w.row.what
    (True, 'w')

    Attributes:
        name: the parameter's.
        verdict: "pass", "fail", "inconclusive" or "nondifferentiable".
        bound: an error of the gradient with a larger Euclidean norm, at every point that was
            checked, is caught with a probability of at least 1 − delta.
        relative_bound: the same over the gradient's norm.
        certified: whether no kink can have disturbed it.
        note: what a reader should know of a pass, or would help where it is inconclusive.
        error: where it failed, the error's norm over the gradient's.
        index: of the worst entry that was found.
        analytic: what the gradient is there.
        numeric: what it should be.
        where: "entries [...]", "rows [...]", "columns [...]" or "all entries".
        cause: a sentence, or None.
        measured: how.
        given: with `entries=True`, the gradient that was given.
        right: with `entries=True`, the slopes by each entry.
    """

    name: str
    verdict: str
    bound: float
    relative_bound: float
    certified: bool
    note: str | None = None
    error: float | None = None
    index: tuple[int, ...] | None = None
    analytic: float | None = None
    numeric: float | None = None
    where: str | None = None
    cause: str | None = None
    measured: str = DIFFERENCES
    given: np.ndarray | None = None
    right: np.ndarray | None = None

    @staticmethod
    def _shown(value: float | None) -> str:
        return "?" if value is None else f"{value + 0.0:.9g}"  # −0 + 0 is 0

    def __str__(self) -> str:
        return self.line()

    def line(self, width: int = NAME) -> str:
        """The whole as one line, its name in a column."""
        head = f"{self.name:<{width}} {self.verdict:<18}"
        if self.verdict == FAIL:
            return head + self._wrong()
        if self.note is not None and not math.isfinite(self.bound):
            return head + self.note
        certified = ", kinks certified" if self.certified else ""
        size = (
            "" if math.isinf(self.relative_bound) else f" ({self.relative_bound:.1e} of its norm)"
        )
        text = f"correct to within {self.bound:.1e}{size}{certified}"
        if self.verdict == INCONCLUSIVE:
            text = f"an error of up to {self.bound:.1e}{size} would not be seen"
        return head + text + (f"; {self.note}" if self.note else "")

    def _wrong(self) -> str:
        parts = [f"wrong: {self.where}", self.cause or "cause unknown"]
        if self.index is not None:
            parts[0] = f"{self.place}; {parts[0]}"
        if self.error is not None and math.isfinite(self.error):
            parts.append(f"the error is {self.error:.1e} of the gradient's norm")
            if self.error < SMALL:
                parts.append(
                    "so small an error is often an epsilon that was left out, a float32 constant, "
                    f"or a solver's tolerance: to allow it, rtol={_above(self.error):.0e}"
                )
        return "; ".join(parts)

    @property
    def place(self) -> str:
        """The worst entry: what it is, and what it should be, where that is known."""
        if self.index is None:
            return ""
        should = "" if self._unknown else f", should be {self._shown(self.numeric)}"
        return f"{list(self.index)} is {self._shown(self.analytic)}{should}"

    @property
    def row(self) -> Row:
        """The same in columns."""
        place = f"{self.place}; {self.where}" if self.place else self.where or ""
        error = "" if self.error is None or not math.isfinite(self.error) else f"{self.error:.1e}"
        cause = (self.cause or "cause unknown") if self.verdict == FAIL else self.note or ""
        return Row(self.name, self.verdict, error, place, cause, self.measured, self._caught)

    @property
    def _caught(self) -> str:
        if self.verdict == FAIL:
            return ""
        if math.isfinite(self.relative_bound):
            return f"{self.relative_bound:.1e} of it"
        return f"{self.bound:.1e}" if math.isfinite(self.bound) else "none"

    @property
    def _unknown(self) -> bool:
        return self.numeric is None or math.isnan(self.numeric)


@dataclass(frozen=True)
class ForwardReport:
    """The loss beside the reference's, and how far rounding in the loss's dtype may move it."""

    verdict: str
    loss: float
    reference: float
    tolerance: float

    def __str__(self) -> str:
        return self.line()

    @property
    def row(self) -> Row:
        """In the columns of a parameter."""
        place = f"{self.loss:.9g}, reference {self.reference:.9g}"
        off = f"{self.tolerance:.1e}"
        return Row("the loss", self.verdict, "", place, "", "beside the reference", off)

    def line(self, width: int = NAME) -> str:
        """The whole as one line."""
        off = abs(self.loss - self.reference)
        return (
            f"{'the loss':<{width}} {self.verdict:<18}{self.loss:.9g} is {off:.1e} from the "
            f"reference; rounding may move it by {self.tolerance:.1e}"
        )


@dataclass(frozen=True)
class Report:
    """The whole check.

    >>> import numpy as np
    >>> from handgrad import gradcheck
    >>> report = gradcheck(lambda p: (p["w"] ** 2).sum(), {"w": np.ones(2)}, lambda p: p, seed=1)
    >>> report.ok, report.verdict, report["w"].verdict, len(report.rows)
    (False, 'fail', 'fail', 1)
    >>> report.head[:32], str(report).startswith(report.head)
    ('gradient check: fail at 3 points', True)
    >>> report.raise_if_failed()
    Traceback (most recent call last):
    AssertionError: gradient check: fail at 3 points …

    Attributes:
        parameters: a `ParameterReport` for each; `report[name]` is the same.
        evaluations: calls of the loss.
        points: at how many every gradient was seen.
        delta: the chance with which an error as large as a bound is missed.
        seed: of the random directions, drawn afresh for every check.
        notes: what it cannot see.
        forward: the loss beside the reference's, where one was given.
        calls: sentences on what depends on how the backward pass is called.
    """

    parameters: Mapping[str, ParameterReport]
    evaluations: int
    points: int
    delta: float
    seed: int
    notes: tuple[str, ...] = ()
    forward: ForwardReport | None = None
    calls: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether the verdict is "pass"; a report is true where this is, so it can be asserted."""
        return self.verdict == PASS

    def __bool__(self) -> bool:
        return self.ok

    @property
    def verdict(self) -> str:
        """The worst of the parameters' verdicts and the forward pass's."""
        verdicts = [p.verdict for p in self.parameters.values()]
        if self.forward is not None:
            verdicts.append(self.forward.verdict)
        if self.calls:
            verdicts.append(FAIL)
        return min(verdicts, key=WORST_FIRST.index)

    def __getitem__(self, name: str) -> ParameterReport:
        return self.parameters[name]

    @property
    def head(self) -> str:
        """The first line."""
        points = "1 point" if self.points == 1 else f"{self.points} points"
        return (
            f"gradient check: {self.verdict} at {points} ({self.evaluations} evaluations of the "
            f"loss, seed {self.seed}; a bound holds with probability {1 - self.delta:g})"
        )

    @property
    def rows(self) -> list[Row]:
        """A row for each parameter, the loss and the calls, worst first."""
        forward = [] if self.forward is None else [self.forward.row]
        calls = [Row("the calls", FAIL, "", "", said, "other calls", "") for said in self.calls]
        found = [*forward, *(p.row for p in self.parameters.values()), *calls]
        return sorted(found, key=lambda row: WORST_FIRST.index(row.verdict))

    def __str__(self) -> str:
        notes = [f"note: {note}" for note in self.notes]
        width = max(NAME, *map(len, self.parameters))
        calls = [f"{'the calls':<{width}} {FAIL:<18}{sentence}" for sentence in self.calls]
        forward = [] if self.forward is None else [self.forward.line(width)]
        lines = [p.line(width) for p in self.parameters.values()]
        return "\n".join([self.head, *forward, *lines, *calls, *notes])

    def _repr_html_(self) -> str:
        """A notebook shows it so."""
        return html(self.head, self.rows, self.notes)

    def as_dict(self) -> dict[str, Any]:
        """All of it as plain values for JSON; the schema is `docs/check.schema.json`.

        >>> import numpy as np
        >>> from handgrad import gradcheck
        >>> report = gradcheck(lambda p: (p**2).sum(), np.ones(2), lambda p: 2 * p)
        >>> report.as_dict()["verdict"]
        'pass'
        """
        return {"format": FORMAT, "verdict": self.verdict, **plain(asdict(self))}

    def raise_if_failed(self) -> None:
        """Raise `AssertionError` with this text unless the verdict is "pass"."""
        __tracebackhide__ = True
        if not self.ok:
            raise AssertionError(str(self))


def joined(report: Report, more: Report, what: str) -> Report:
    """Both in one; the parameters and notes of the second are told as `what`'s."""
    own = {f"{what} {n}": replace(p, name=f"{what} {n}") for n, p in more.parameters.items()}
    return replace(
        report,
        parameters={**report.parameters, **own},
        evaluations=report.evaluations + more.evaluations,
        points=min(report.points, more.points),
        notes=(*report.notes, *(f"{what}: {note}" for note in more.notes)),
        calls=(*report.calls, *more.calls),
    )


def _above(error: float) -> float:
    """The power of ten above ten times the error."""
    return float(10.0 ** (math.ceil(math.log10(error)) + 1))
