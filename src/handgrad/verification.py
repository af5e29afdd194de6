"""The main job: train the stages on one problem and prove them equal, or say which is wrong where.

What they are held to stands in `handgrad.witnesses`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from handgrad import exact
from handgrad.comparison import ALL, Comparison, guarded, raised
from handgrad.errors import BadInput
from handgrad.extras import Missing
from handgrad.history import Epoch
from handgrad.inputs import require_functions, require_type, whole_number
from handgrad.problem import Problem
from handgrad.stages import BREAKS, REFERENCE, STAGES, Stage, load, require_device
from handgrad.training import Run, require_room_for, train
from handgrad.witnesses import (
    check_exact,
    check_finite_differences,
    check_points,
    check_runs,
    prove_reference,
    refutation,
)

EQUAL, NOT_EQUAL, UNDECIDED = "equal", "not equal", "undecided"


@dataclass(frozen=True, eq=False)
class Verification:
    """Everything that `verify` measured.

    >>> from handgrad import Config, make_problem
    >>> found = verify(make_problem(Config(epochs=1)), ["pytorch_autograd"])
    >>> found.verdict, found.ok, found.failures, found.left_out
    ('equal', True, [], {})
    >>> found.stages, str(found.proof)[:14]
    (('numpy_manual', 'pytorch_autograd'), 'proved exactly')
    >>> one = found.largest("pytorch_autograd", "gradient", "dW1")
    >>> one.max_abs_diff <= one.bound
    True

    Attributes:
        problem: what the stages were trained on.
        stages: their names.
        comparisons: every difference that was measured, beside its bound.
        runs: the trainings, by stage.
        proof: of stage 1's gradients, or why there is none.
        left_out: stages whose package is not installed, with the line that says so.
    """

    problem: Problem
    stages: tuple[str, ...]
    comparisons: tuple[Comparison, ...]
    runs: Mapping[str, Run]
    proof: exact.Proof | str
    left_out: Mapping[str, str]

    @property
    def failures(self) -> list[Comparison]:
        """What does not hold: the largest difference of each stage, check and quantity."""
        found: dict[tuple[str, str, str], Comparison] = {}
        for c in self.comparisons:
            key = c.stage, c.check, c.quantity
            if not c.ok and (key not in found or c.max_abs_diff > found[key].max_abs_diff):
                found[key] = c
        return list(found.values())

    @property
    def verdict(self) -> str:
        """`EQUAL`; `NOT_EQUAL` where a stage is to blame; else, where runs decide nothing,
        `UNDECIDED`.
        """
        if not self.failures:
            return EQUAL
        return UNDECIDED if all(c.stage == ALL for c in self.failures) else NOT_EQUAL

    @property
    def ok(self) -> bool:
        """Whether every bound held; a verification is true where this is."""
        return self.verdict == EQUAL

    def __bool__(self) -> bool:
        return self.ok

    def largest(self, stage: str, check: str, quantity: str | None = None) -> Comparison | None:
        """The largest difference of a stage in a check, a failure first; None where none is."""
        found = (
            c
            for c in self.comparisons
            if (c.stage, c.check) == (stage, check) and quantity in (None, c.quantity)
        )
        return max(found, key=lambda c: (not c.ok, c.max_abs_diff), default=None)


def verify(
    problem: Problem,
    stages: str | Sequence[str | Stage] | None = None,
    *,
    device: str = "cpu",
    patterns: int | None = None,
    on_epoch: Callable[[str, int, Epoch], None] | None = None,
) -> Verification:
    """Hold the stages, and engines of your own, to stage 1 and to the three other witnesses.

    >>> from handgrad import Config, make_problem
    >>> verify(make_problem(Config(epochs=2)), ["pytorch_no_autograd"]).ok
    True

    Args:
        problem: from `make_problem`, or one of your own.
        stages: names or engines; all stages whose package is installed where left out.
        device: where the tensors live.
        patterns: how many are drawn for the proof of stage 1; as many as take less than a second
            where left out.
        on_epoch: called with the stage's name, the epoch and its row of the history.

    Returns:
        A `Verification`, which is true if every bound holds. Whatever an engine raises while it is
        at work is a failure of that engine.

    Raises:
        BadInput: for an unknown stage, or a device that is not there.
    """
    require_type("problem", problem, Problem)
    require_functions(on_epoch=on_epoch, optional=True)
    left_out: dict[str, str] = {}
    if stages is None:
        stages, left_out = _installed()
    some: Any = stages if not isinstance(stages, str) and isinstance(stages, Iterable) else [stages]
    stages = list(some)
    if not stages:
        raise BadInput("stages must name at least one to hold to stage 1, got none")
    require_room_for(problem, records=len(stages) + 3)  # stage 1's, and two more for the bound
    engines = _by_name([REFERENCE, *stages])
    dtype = problem.config.dtype
    for engine in engines.values():
        require_device(engine, device, dtype)
    if patterns is not None:
        patterns = whole_number("patterns to prove", patterns, at_least=1)
    comparisons: list[Comparison] = []
    for name, engine in engines.items():
        comparisons += guarded(name, "exact", check_exact(engine, dtype, device))
    finite_differences = check_finite_differences(engines[REFERENCE], problem)
    comparisons += guarded(REFERENCE, "finite difference", finite_differences)
    suspects = {c.stage for c in comparisons if not c.ok}
    comparisons += check_points(engines, problem, device, suspects)
    runs, failures = train_all(engines, problem, device, on_epoch)
    comparisons += [*failures, *check_runs(runs, problem, suspects)]
    proof = prove_reference(engines[REFERENCE], problem, patterns)  # last: an engine may remember
    comparisons += refutation(proof)
    return Verification(problem, tuple(engines), tuple(comparisons), runs, proof, left_out)


def compare_runs(
    problem: Problem,
    *,
    device: str = "cpu",
    on_epoch: Callable[[str, int, Epoch], None] | None = None,
) -> Verification:
    """Train all installed stages, and compare the parameters after every step: nothing else.

    >>> from handgrad import Config, make_problem
    >>> compare_runs(make_problem(Config(epochs=2))).ok
    True
    """
    require_type("problem", problem, Problem)
    stages, left_out = _installed()
    require_room_for(problem, records=len(stages) + 2)
    engines = _by_name(stages)
    for engine in stages:
        require_device(engine, device, problem.config.dtype)
    runs, failures = train_all(engines, problem, device, on_epoch)
    comparisons = *failures, *check_runs(runs, problem)
    return Verification(problem, tuple(engines), comparisons, runs, "not asked for", left_out)


def _installed() -> tuple[list[Stage], dict[str, str]]:
    """The stages that can be loaded; why the others cannot, by name."""
    stages, left_out = [], {}
    for name in STAGES:
        try:
            stages.append(load(name))
        except Missing as missing:
            left_out[name] = str(missing)
    return stages, left_out


def _by_name(stages: Sequence[str | Stage]) -> dict[str, Stage]:
    """The engines by name. Raises `BadInput` where two, or one and a stage, have the same name."""
    engines: dict[str, Stage] = {}
    for engine in map(load, stages):
        name = engine.name
        if name == ALL:
            raise BadInput(f"an engine must not have the name {ALL!r}: rename it")
        others = [engines.get(name, engine), load(name) if name in STAGES else engine]
        if any(other is not engine for other in others):
            raise BadInput(
                f"an engine must have a name of its own, got another {name!r}: rename it"
            )
        engines[name] = engine
    return engines


def train_all(
    engines: Mapping[str, Stage],
    problem: Problem,
    device: str,
    on_epoch: Callable[[str, int, Epoch], None] | None = None,
) -> tuple[dict[str, Run], list[Comparison]]:
    """The recorded runs, and a failure for every engine that could not be trained."""
    runs, failures = {}, []
    for name, engine in engines.items():
        told: list[BaseException] = []

        def tell(
            epoch: int, row: Epoch, name: str = name, told: list[BaseException] = told
        ) -> None:
            try:
                if on_epoch is not None:
                    on_epoch(name, epoch, row)
            except BREAKS as error:
                told.append(error)
                raise

        try:
            runs[name] = train(problem, engine, device=device, record=True, on_epoch=tell)
        except BREAKS as error:
            if error in told:  # the caller's, not the engine's
                raise
            failures.append(raised(name, "run", error))
    return runs, failures
