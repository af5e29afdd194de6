"""Does `verify` see what is wrong, name who is wrong, and let right engines pass?"""

import sys
from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np
import pytest
import torch
from engines import Loops, copy_of, with_gradients

from handgrad import (
    STAGES,
    BadInput,
    Comparison,
    Config,
    Verification,
    agreement,
    make_problem,
    train,
    verify,
)
from handgrad.exact import BATCH_SIZE, Proof, equivalent, worked
from handgrad.mistakes import CATALOGUE
from handgrad.parity import run_bound
from handgrad.report import said_of
from handgrad.rounding import RUN_LIMIT
from handgrad.stages import REFERENCE

SMALL = Config(hidden=3, epochs=2, batch_size=8, n_train=42, n_val=8)


def changes_nothing(name: str, layer: int) -> bool:
    """In two layers with one output: decided exactly, and on the kink that is worked by hand."""
    w, wrong = worked(), CATALOGUE[name].backward(layer, batch_size=SMALL.batch_size)
    if not equivalent(CATALOGUE[name], layer, [2, SMALL.hidden, 1], 4):
        return False
    x, y, (W1, b1, W2, b2) = w.x[:BATCH_SIZE], w.y[:BATCH_SIZE], w.params
    (dW1, dW2), (db1, db2) = wrong([W1, W2], [b1, b2], x, y)
    pairs = zip((dW1, db1, dW2, db2), w.gradients, strict=True)
    return all(np.array_equal(one, other) for one, other in pairs)


EQUIVALENT = [
    (name, layer)
    for name, mistake in CATALOGUE.items()
    for layer in mistake.layers(2)
    if changes_nothing(name, layer)
]
# Mistakes that autograd mends: where a gradient's shape broadcasts to the parameter's, PyTorch
# adds the gradient up before it keeps it.
MENDED = {("db not summed", 0), ("db not summed", 1), ("db over the wrong axis", 1)}
PLACES = [
    (stage, name, layer)
    for name, mistake in CATALOGUE.items()
    for layer in mistake.layers(2)
    for stage in STAGES
    if (name, layer) not in EQUIVALENT
    and not ((name, layer) in MENDED and stage in ("pytorch_autograd", "pytorch_nn_module"))
]


def mistaken(stage: str, name: str, layer: int) -> Any:
    """The stage with one mistake of the catalogue in it."""
    wrong = CATALOGUE[name].backward(layer, lr=SMALL.lr, batch_size=SMALL.batch_size)

    def gradients(x: Any, y: Any, W1: Any, b1: Any, W2: Any, b2: Any) -> Any:
        (dW1, dW2), (db1, db2) = wrong([W1, W2], [b1, b2], x, y)
        return dW1, db1, dW2, db2

    return with_gradients(stage, gradients)


def spoilt(name: str, layer: int) -> set[str]:
    """The gradients that a mistake must spoil, and no others."""
    link = CATALOGUE[name].link
    if name == "(N,) against (N, 1)":
        return {"dW1", "db1", "dW2"}  # the mean residual, db2, is the same
    if link == "df":
        return {"dW1", "db1", "dW2", "db2"}
    if link in ("dW", "db"):
        return {f"{link}{layer + 1}"}
    return {"dW1", "db1"}  # on the way from layer 2 down to layer 1


def blamed(verification: Verification) -> set[str]:
    return {failure.stage for failure in verification.failures}


def verify_with(*engines: Any, config: Config = SMALL) -> Verification:
    """Verify all four stages, with these copies in the places of those whose names they have."""
    with pytest.MonkeyPatch.context() as patch:
        for engine in engines:
            patch.setitem(sys.modules, f"handgrad.stages.{engine.name}", engine)
        return verify(make_problem(config), STAGES)


@pytest.mark.parametrize(("stage", "name", "layer"), PLACES)
def test_every_mistake_is_seen_in_every_stage_and_named(stage: str, name: str, layer: int) -> None:
    verification = verify_with(mistaken(stage, name, layer))
    # A stage 1 that depends on the order of its samples also makes rounding look large.
    assert blamed(verification) - {"all"} == {stage}
    gradients = {f.quantity for f in verification.failures if f.quantity.startswith("d")}
    raised = any("raised" in f.message for f in verification.failures)
    assert gradients == spoilt(name, layer) or raised
    assert gradients <= spoilt(name, layer)


def test_the_equivalent_mistakes_are_those_of_a_single_row() -> None:
    assert EQUIVALENT == [("dW transposed", 1), ("dW rows rolled", 1)]


def test_stage_one_is_proved_and_a_wrong_one_refuted_with_both_values() -> None:
    verification = verify(make_problem(SMALL), patterns=3)
    assert isinstance(verification.proof, Proof)
    assert verification.proof.patterns == 3
    wrong = verify_with(mistaken(REFERENCE, "dW doubled", 0))
    (refuted,) = (f for f in wrong.failures if f.check == "proof")
    assert (refuted.stage, refuted.quantity) == (REFERENCE, "dW1")
    assert refuted.got is not None
    assert refuted.expected
    assert refuted.got == 2 * refuted.expected
    assert refuted.message.startswith(f"{REFERENCE}: refuted in exact arithmetic: dW1[")


def test_a_stage_that_cannot_be_run_exactly_is_not_said_to_be_proved() -> None:
    engine = copy_of(REFERENCE)
    engine.relu = lambda a: np.maximum(a, 0).astype(np.float64)  # type: ignore[attr-defined]
    verification = verify_with(engine)
    assert verification.ok
    assert isinstance(verification.proof, str)
    assert "float" in verification.proof
    assert f"{REFERENCE} was not proved" in said_of(verification.proof)


@pytest.mark.parametrize("patterns", [0, -3])
def test_patterns_are_counted(patterns: int) -> None:
    with pytest.raises(BadInput, match="prove must be a whole number"):
        verify(make_problem(SMALL), patterns=patterns)


@pytest.mark.parametrize(("name", "layer"), EQUIVALENT)
def test_equivalent_mistakes_change_nothing(name: str, layer: int) -> None:
    assert verify_with(mistaken(REFERENCE, name, layer)).ok


@pytest.mark.parametrize(("name", "layer"), sorted(MENDED))
def test_mistakes_that_autograd_mends_change_nothing_there(name: str, layer: int) -> None:
    assert verify_with(mistaken("pytorch_autograd", name, layer)).ok


def test_two_wrong_stages_are_both_named() -> None:
    wrong = [mistaken(s, "sign of dW", 0) for s in ("pytorch_autograd", "pytorch_nn_module")]
    assert blamed(verify_with(*wrong)) == {"pytorch_autograd", "pytorch_nn_module"}


def test_three_wrong_stages_do_not_outvote_stage_one() -> None:
    assert blamed(verify_with(*(mistaken(s, "factor 2", 1) for s in STAGES[1:]))) == set(STAGES[1:])


@pytest.mark.parametrize("stage", STAGES)
def test_a_leaking_relu_is_seen_in_the_forward_pass(stage: str) -> None:
    wrong = copy_of(stage)
    wrong.relu = lambda a: a * ((a > 0) + 0.01 * (a <= 0))  # type: ignore[attr-defined]
    failures = verify_with(wrong).failures
    assert {f.stage for f in failures} - {"all"} == {stage}
    assert {f.quantity for f in failures if f.check == "forward"} == {"h1", "f", "L"}


@pytest.mark.parametrize("stage", STAGES)
def test_a_loss_without_its_half_is_seen(stage: str) -> None:
    wrong = copy_of(stage)
    wrong.loss = lambda f, y: ((f - y) ** 2).mean()  # type: ignore[attr-defined]
    failures = verify_with(wrong).failures
    assert {f.stage for f in failures} == {stage}
    assert {f.quantity for f in failures if f.check == "forward"} == {"L"}


@pytest.mark.parametrize("stage", STAGES)
def test_a_slightly_wrong_learning_rate_is_seen_in_the_run_alone(stage: str) -> None:
    wrong: Any = copy_of(stage)
    right = wrong.sgd
    wrong.sgd = lambda params, x, y, order, size, lr: right(
        params,
        x,
        y,
        order,
        size,
        lr * (1 + 1e-8 * (len(x) > 6)),  # not in the exact network
    )
    failures = verify_with(wrong).failures
    assert {(f.stage, f.check) for f in failures} == {(stage, "run")}
    (failure,) = failures
    assert failure.epoch == 1
    assert failure.step == 1
    assert failure.quantity in ("W1", "b1", "W2", "b2")
    assert f"in epoch 1, step 1: it is {failure.got!r}" in failure.message


@pytest.mark.parametrize("stage", STAGES)
def test_another_batch_order_is_seen(stage: str) -> None:
    wrong: Any = copy_of(stage)
    right = wrong.sgd

    def sgd(params: Any, x: Any, y: Any, order: Any, size: int, lr: float) -> Any:
        later = order.copy() if stage == REFERENCE else order.clone()
        if len(later) == SMALL.epochs:
            later[1] = order[0]
        return right(params, x, y, later, size, lr)

    wrong.sgd = sgd
    (failure,) = verify_with(wrong).failures
    assert (failure.stage, failure.epoch) == (stage, 2)


def test_another_dtype_is_seen() -> None:
    wrong: Any = copy_of("pytorch_no_autograd")
    wrong.to_numpy = lambda tensor: tensor.numpy().astype(np.float32)
    failures = verify_with(wrong).failures
    assert blamed(verify_with(wrong)) == {"pytorch_no_autograd"}
    assert any("a1 has dtype float32, must have float64" in f.message for f in failures)


def test_a_gradient_of_another_shape_is_seen() -> None:
    failures = verify_with(mistaken("pytorch_no_autograd", "db not summed", 0)).failures
    assert any("db1 has shape (42, 3), must have (3,)" in f.message for f in failures)


def test_an_engine_that_raises_is_a_failure_and_the_others_go_on() -> None:
    wrong: Any = copy_of("pytorch_autograd")

    def sgd(*arguments: Any) -> Any:
        raise ZeroDivisionError("no batch")
        yield

    wrong.sgd = sgd
    verification = verify_with(wrong)
    assert blamed(verification) == {"pytorch_autograd"}
    assert "raised ZeroDivisionError (run): no batch" in verification.failures[-1].message
    assert set(verification.runs) == set(STAGES) - {"pytorch_autograd"}


def test_an_sgd_that_ends_early_is_a_failure() -> None:
    wrong: Any = copy_of(REFERENCE)
    right = wrong.sgd
    wrong.sgd = lambda *arguments: islice(right(*arguments), 11)
    (failure,) = verify_with(wrong).failures
    assert "must yield after each of 6 updates" in failure.message


def test_a_fifth_engine_is_held_to_the_same_proof() -> None:
    verification = verify(make_problem(SMALL), [Loops()])
    assert verification.ok
    assert set(verification.stages) == {REFERENCE, "loops"}
    found = verification.largest("loops", "run")
    assert found is not None
    assert found.max_abs_diff < 1e-14


def test_a_wrong_fifth_engine_is_named() -> None:
    class Wrong(Loops):
        def backward(self, *arguments: Any) -> tuple[Any, ...]:
            dW1, db1, dW2, db2 = super().backward(*arguments)
            return dW1, db1, dW2, [1.001 * db2[0]]

    failures = verify(make_problem(SMALL), [Wrong()]).failures
    assert {f.stage for f in failures} == {"loops"}
    assert {f.quantity for f in failures if f.check == "gradient"} == {"db2"}


@pytest.mark.parametrize(
    "config",
    [
        Config(epochs=20),
        Config(epochs=20, lr=1.0),
        Config(epochs=20, lr=2.0),
        Config(epochs=5, hidden=1, batch_size=1, n_train=40, n_val=1),
        Config(epochs=5, hidden=64, batch_size=500, n_val=3),
        Config(epochs=20, hidden=4, init="normal:0.1", dtype="float32"),
        Config(epochs=20, dtype="float32"),
        Config(epochs=0),
    ],
    ids=lambda c: f"{c.hidden}-{c.lr}-{c.batch_size}-{c.dtype}-{c.epochs}",
)
def test_right_stages_pass(config: Config) -> None:
    verification = verify(make_problem(config))
    assert verification.failures == []


def test_right_stages_pass_with_large_and_small_values() -> None:
    problem = make_problem(replace(SMALL, epochs=0))  # no rate suits them all
    for scale in (1e-6, 1e6):
        scaled = replace(problem, x_train=problem.x_train * scale, y_train=problem.y_train * scale)
        assert verify(scaled).failures == []


def test_samples_that_are_all_alike_pass() -> None:
    problem = make_problem(replace(SMALL, n_train=500))
    alike = replace(problem, x_train=np.full((500, 2), 0.3), y_train=np.ones((500, 1)))
    assert verify(alike).failures == []


# Runs

CHAOTIC = Config(epochs=40, lr=1.2, hidden=16, batch_size=4)


def moved(run: Any, by: float, step: int) -> Any:
    trajectory = run.trajectory.copy()
    trajectory[step:, 4] += by
    return replace(run, trajectory=trajectory)


def test_a_difference_of_1e_9_is_still_seen_at_a_rate_of_2() -> None:
    run = train(make_problem(Config(epochs=40, lr=2.0)), record=True)
    verdict = agreement(moved(run, 1e-9, step=100), run)
    assert (verdict.verdict, verdict.epoch, verdict.step) == ("different", 7, 100)
    assert (verdict.parameter, verdict.index) == ("W1", (2, 0))
    assert agreement(run, run).verdict == "equal"


def test_a_chaotic_problem_is_not_decidable_and_never_equal() -> None:
    problem = make_problem(CHAOTIC)
    assert run_bound(problem) > RUN_LIMIT["float64"]
    run = train(problem, record=True)
    assert agreement(run, run).verdict == "not decidable"


def test_verify_says_that_a_chaotic_run_is_not_decidable() -> None:
    (failure,) = verify(make_problem(CHAOTIC), [REFERENCE]).failures
    assert failure.stage == "all"
    assert "not decidable at a learning rate of 1.2: rounding alone" in failure.message


def test_verify_says_that_a_training_diverges() -> None:
    verification = verify(make_problem(Config(lr=50.0, epochs=3)), STAGES[:2])
    assert "the training diverges" in verification.failures[-1].message
    assert verification.runs[REFERENCE].diverged_at is not None


def test_the_bound_grows_with_the_rate() -> None:
    bounds = [run_bound(make_problem(Config(lr=lr, seed=1))) for lr in (0.1, 2.0)]
    assert bounds[0] == 1e-12
    assert 1e-12 < bounds[1] < 1e-9


def test_a_run_that_ends_elsewhere_is_different() -> None:
    run = train(make_problem(SMALL), record=True)
    assert run.trajectory is not None
    short = replace(run, steps=5, trajectory=run.trajectory[:6])
    verdict = agreement(short, run)
    assert (verdict.verdict, verdict.step) == ("different", 6)


def test_runs_of_two_problems_are_not_compared() -> None:
    one, two = (train(make_problem(replace(SMALL, seed=s)), record=True) for s in (1, 2))
    with pytest.raises(BadInput, match="one problem"):
        agreement(one, two)


def test_runs_without_a_trajectory_are_not_compared() -> None:
    run = train(make_problem(SMALL))
    with pytest.raises(BadInput, match="record=True"):
        agreement(run, run)


def test_nan_is_never_equal() -> None:
    wrong: Any = copy_of("pytorch_no_autograd")
    right = wrong.loss
    wrong.loss = lambda f, y: right(f, y) * torch.nan
    failures = verify_with(wrong, config=replace(SMALL, epochs=0)).failures
    assert {f.stage for f in failures} == {"pytorch_no_autograd"}


def test_the_largest_difference_is_the_largest() -> None:
    small, large = (Comparison("s", "forward", "f", gap, 1.0) for gap in (0.1, 0.2))
    verification = Verification(make_problem(SMALL), ("s",), (small, large), {}, "not asked", {})
    assert verification.largest("s", "forward") is large
    assert verification.largest("s", "gradient") is None


# Engines that break the contract without a wrong formula


@pytest.mark.parametrize("stage", STAGES)
def test_nan_within_an_epoch_is_seen(stage: str) -> None:
    wrong: Any = copy_of(stage)
    right = wrong.sgd

    def sgd(*arguments: Any) -> Any:
        for step, (W1, b1, W2, b2) in enumerate(right(*arguments)):
            yield (
                (W1 * np.nan, b1, W2, b2)
                if step == 2 and len(arguments[1]) > 6
                else (W1, b1, W2, b2)
            )

    wrong.sgd = sgd
    failures = verify_with(wrong).failures
    assert {f.stage for f in failures} == {stage}


def test_engines_of_one_name_are_refused() -> None:
    for engines in ([copy_of("numpy_manual")], [Loops(), Loops()]):
        with pytest.raises(BadInput, match="a name of its own"):
            verify(make_problem(SMALL), engines)


def test_memory_shared_with_the_problem_is_seen() -> None:
    for stage in STAGES[1:]:
        wrong: Any = copy_of(stage)
        wrong.to_native = lambda array, device: torch.from_numpy(np.ascontiguousarray(array))
        failures = verify_with(wrong).failures
        assert "to_native must copy the arrays it receives" in failures[0].message
        assert failures[0].stage == stage


def test_an_sgd_that_changes_what_it_was_given_is_seen() -> None:
    wrong: Any = copy_of("numpy_manual")
    right = wrong.sgd

    def sgd(params: Any, *rest: Any) -> Any:
        for updated in right(params, *rest):
            params[1][:] = updated[1]
            yield updated

    wrong.sgd = sgd
    assert any("sgd must not change the arrays" in f.message for f in verify_with(wrong).failures)


def test_a_relu_that_is_cut_off_far_away_is_seen() -> None:
    wrong: Any = copy_of("pytorch_autograd")
    wrong.relu = lambda a: torch.relu(a).clamp(max=1e3)
    assert {f.stage for f in verify_with(wrong).failures} == {"pytorch_autograd"}


def test_a_stage_one_that_depends_on_the_order_is_named() -> None:
    wrong: Any = copy_of("numpy_manual")
    right = wrong.sgd
    wrong.sgd = lambda p, x, y, order, size, lr: right(p, x[::-1] * 1.0, y, order, size, lr)
    failures = verify_with(wrong).failures
    assert {f.stage for f in failures} == {"numpy_manual"}
    assert "run" in {f.check for f in failures}


def test_an_exception_of_the_callers_is_the_callers() -> None:
    def on_epoch(*arguments: Any) -> None:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        verify(make_problem(SMALL), on_epoch=on_epoch)


@pytest.mark.slow
@pytest.mark.parametrize(
    "config",
    [
        Config(seed=16374, epochs=5, lr=1.0, batch_size=4, n_train=5, n_val=3, dtype="float32"),
        Config(
            seed=702437,
            hidden=64,
            epochs=30,
            lr=0.2,
            batch_size=1,
            n_train=50,
            n_val=3,
            dtype="float32",
        ),
    ],
)
def test_right_stages_are_not_called_wrong_where_a_run_grows(config: Config) -> None:
    assert {f.stage for f in verify(make_problem(config)).failures} <= {"all"}


def test_a_failed_result_is_false_so_that_it_can_be_asserted() -> None:
    right, wrong = verify_with(), verify_with(mistaken("pytorch_autograd", "sign of dW", 0))
    assert right
    assert not wrong
    assert not wrong.failures[0]
    assert all(c for c in right.comparisons)
    problem = make_problem(SMALL)
    one = train(problem, record=True)
    assert agreement(one, one)
    assert not agreement(moved(one, 1e-6, 3), one)
