"""What a gradient check found, to be read by a person or a program."""

from collections.abc import Mapping
from dataclasses import dataclass

PASS, FAIL = "pass", "fail"
INCONCLUSIVE, NONDIFFERENTIABLE = "inconclusive", "nondifferentiable"
WORST_FIRST = (FAIL, NONDIFFERENTIABLE, INCONCLUSIVE, PASS)


@dataclass(frozen=True)
class ParameterReport:
    """What was found for one parameter.

    bound: an error of the gradient with a larger Euclidean norm was caught with a probability of
    at least 1 − delta; relative_bound: the same over the gradient's norm; oracle: what the slopes
    were taken from; certified: whether no kink can have disturbed them. Where it failed: index,
    analytic and numeric of the worst entry found, where ("entries [...]", "rows [...]",
    "columns [...]" or "dense"), and cause, a sentence or None.
    """

    name: str
    verdict: str
    bound: float
    relative_bound: float
    certified: bool
    oracle: str | None = None
    index: tuple[int, ...] | None = None
    analytic: float | None = None
    numeric: float | None = None
    where: str | None = None
    cause: str | None = None

    @staticmethod
    def _shown(value: float | None) -> str:
        return "?" if value is None else f"{value + 0.0:.9g}"  # −0 + 0 is 0

    def __str__(self) -> str:
        head = f"{self.name:<12} {self.verdict:<18}"
        if self.verdict == FAIL:
            place = "" if self.index is None else f"{list(self.index)} "
            found = (
                ""
                if self.index is None
                else f"is {self._shown(self.analytic)}, should be {self._shown(self.numeric)}; "
            )
            cause = self.cause or "cause unknown"
            return f"{head}{place}{found}wrong: {self.where}; {cause}"
        if self.oracle is None:
            return f"{head}not measured"
        certified = "" if self.certified else ", not certified"
        return (
            f"{head}an error above {self.bound:.1e} ({self.relative_bound:.1e} of the gradient) "
            f"would have been seen ({self.oracle}{certified})"
        )


@dataclass(frozen=True)
class ForwardReport:
    """The loss beside the reference's, and how far rounding in the loss's dtype may move it."""

    verdict: str
    loss: float
    reference: float
    tolerance: float

    def __str__(self) -> str:
        off = abs(self.loss - self.reference)
        return (
            f"{'the loss':<12} {self.verdict:<18}{self.loss:.9g} is {off:.1e} from the reference; "
            f"rounding may move it by {self.tolerance:.1e}"
        )


@dataclass(frozen=True)
class Report:
    """The whole check. `report[name]` is a parameter's own; `notes` say what it cannot see.

    evaluations: calls of the loss; points: at how many the gradient was checked; seed: of the
    random directions, drawn afresh for every check; forward: the loss beside the reference's, where
    one was given; calls: sentences on what depends on how the backward pass is called.
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

    def __str__(self) -> str:
        points = "1 point" if self.points == 1 else f"{self.points} points"
        head = (
            f"gradient check: {self.verdict} ({points}, {self.evaluations} evaluations of the "
            f"loss, seed {self.seed}; a bound holds with probability 1 − {self.delta:g})"
        )
        notes = [f"note: {note}" for note in self.notes]
        calls = [f"{'the calls':<12} {FAIL:<18}{sentence}" for sentence in self.calls]
        parts = [*filter(None, [self.forward]), *self.parameters.values(), *calls]
        return "\n".join([head, *map(str, parts), *notes])

    def raise_if_failed(self) -> None:
        """Raise `AssertionError` with this text unless the verdict is "pass"."""
        if not self.ok:
            raise AssertionError(str(self))
