"""Training: the history's definitions, determinism, checkpoints, divergence, interruption."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from engines import copy_of
from safetensors.numpy import save_file
from system import posix

from handgrad import STAGES, BadInput, Config, Problem, Run, make_problem, train, training
from handgrad.checkpoint import load_checkpoint
from handgrad.history import Epoch
from handgrad.stages.numpy_manual import backward, forward
from handgrad.training import accuracy

SMALL = Config(epochs=6, n_train=50, n_val=20, batch_size=16, hidden=3)


def identical(one: Run, other: Run) -> bool:
    return (
        all(map(np.array_equal, one.params, other.params))
        and one.rows == other.rows
        and one.steps == other.steps
    )


@pytest.mark.parametrize("stage", STAGES)
def test_the_history_is_what_it_says(stage: str) -> None:
    problem = make_problem(SMALL)
    run = train(problem, stage)
    assert set(run.history) == set(Epoch._fields)
    assert run.history["epoch"].tolist() == [0, 1, 2, 3, 4, 5, 6]
    assert run.steps == 24
    for entry, params in ((0, problem.params), (-1, run.params)):
        row = {name: column[entry] for name, column in run.history.items()}
        a1, _, f = forward(problem.x_train, *params)
        _, _, f_val = forward(problem.x_val, *params)
        near: Any = {"rel": 1e-12}
        assert row["train_loss"] == pytest.approx(0.5 * ((f - problem.y_train) ** 2).mean(), **near)
        assert row["val_loss"] == pytest.approx(0.5 * ((f_val - problem.y_val) ** 2).mean(), **near)
        assert row["train_accuracy"] == ((f >= 0.5) == (problem.y_train == 1)).mean()
        assert row["val_accuracy"] == ((f_val >= 0.5) == (problem.y_val == 1)).mean()
        assert row["active_share"] == (a1 > 0).mean()
        gradients = backward(problem.x_train, problem.y_train, *params)
        for name, gradient in zip(params._fields, gradients, strict=True):
            assert row[f"grad_norm_{name}"] == pytest.approx(np.sqrt((gradient**2).sum()), **near)
    assert run.final["epoch"] == 6


def test_exactly_one_half_is_class_one() -> None:
    f = np.array([[0.5], [np.nextafter(0.5, 0)]])
    assert accuracy(f, np.array([[1.0], [0.0]])) == 1
    assert accuracy(f, np.array([[0.0], [1.0]])) == 0


@pytest.mark.parametrize("stage", STAGES)
def test_no_epochs_report_the_initial_network(stage: str) -> None:
    problem = make_problem(replace(SMALL, epochs=0))
    run = train(problem, stage, record=True)
    assert run.steps == 0
    assert len(run.rows) == 1
    assert all(map(np.array_equal, run.params, problem.params))
    assert run.trajectory is not None
    assert run.trajectory.shape == (1, 13)


def test_a_trajectory_holds_the_parameters_after_every_step() -> None:
    problem = make_problem(SMALL)
    run = train(problem, record=True)
    assert run.trajectory is not None
    assert run.trajectory.shape == (25, 13)
    first = np.concatenate([p.ravel() for p in problem.params])
    last = np.concatenate([p.ravel() for p in run.params])
    assert np.array_equal(run.trajectory[0], first)
    assert np.array_equal(run.trajectory[-1], last)


def test_the_short_last_batch_counts_as_it_should() -> None:
    problem = make_problem(replace(SMALL, epochs=1))
    run = train(problem)
    params = [p.copy() for p in problem.params]
    for rows in np.split(next(iter(problem.order)), [16, 32, 48]):
        gradients = backward(problem.x_train[rows], problem.y_train[rows], *params)
        params = [p - 0.1 * g for p, g in zip(params, gradients, strict=True)]
    assert len(rows) == 2
    assert all(
        np.allclose(a, b, rtol=0, atol=1e-15) for a, b in zip(params, run.params, strict=True)
    )


PRINT_RUN = (
    "import sys, handgrad; "
    "run = handgrad.train(handgrad.make_problem(handgrad.Config(epochs=5)), sys.argv[1]); "
    "print([p.tobytes().hex() for p in run.params], run.rows)"
)


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["numpy_manual", "pytorch_nn_module"])
def test_a_run_is_the_same_in_every_process_and_with_any_number_of_threads(stage: str) -> None:
    printed = set()
    for threads in ("1", "2"):
        counts = dict.fromkeys(
            ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), threads
        )
        printed.add(
            subprocess.run(
                [sys.executable, "-c", PRINT_RUN, stage],
                env=os.environ | counts,
                capture_output=True,
                check=True,
            ).stdout
        )
    assert len(printed) == 1
    assert len(printed.pop()) > 1000


# Memory

PEAK = (
    "import resource, handgrad\n"
    "config = handgrad.Config({})\n"
    "handgrad.train(handgrad.make_problem(config), 'numpy_manual')\n"
    "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
)


def peak(config: str) -> float:
    """Megabytes at most that the training takes, Python and NumPy among them."""
    code = [sys.executable, "-c", PEAK.format(config)]
    return int(subprocess.run(code, capture_output=True, check=True).stdout) / 1000


@pytest.mark.slow
@posix
def test_memory_grows_with_none_of_samples_times_units_and_epochs_times_samples() -> None:
    small = peak("epochs=1")
    # 640 MB and 400 MB more, if the history were taken at once or the order drawn beforehand.
    assert peak("epochs=1, n_train=20000, hidden=1000, n_val=1") < small + 300
    assert peak("epochs=5000, n_train=10000, batch_size=10000, n_val=1, hidden=1") < small + 50


def test_the_history_in_pieces_is_the_history(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = make_problem(SMALL)
    whole = train(problem)
    monkeypatch.setattr(training, "ROOM", 3 * 7)  # pieces of seven samples
    pieces = train(problem)
    assert all(map(np.array_equal, pieces.params, whole.params))
    for name, column in pieces.history.items():
        assert np.allclose(column, whole.history[name], rtol=1e-14, atol=1e-15), name


@pytest.mark.parametrize("stage", STAGES)
def test_a_run_in_pieces_of_the_order_is_the_run(
    stage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    problem = make_problem(SMALL)
    whole = train(problem, stage)
    orders = Problem.orders
    monkeypatch.setattr(Problem, "orders", lambda self, first: orders(self, first, numbers=1))
    assert [len(piece) for piece in problem.orders(1)] == [2, 2, 1]
    assert identical(train(problem, stage), whole)


def test_an_order_of_ones_own_is_followed() -> None:
    problem = make_problem(SMALL)
    given = replace(problem, order=np.asarray(problem.order))
    assert identical(train(given), train(problem))
    assert given.digest() == problem.digest()
    turned = replace(problem, order=np.asarray(problem.order)[::-1])
    assert not identical(train(turned), train(problem))
    assert turned.digest() != problem.digest()


# Checkpoints


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_resumed_run_ends_bit_for_bit_where_a_whole_one_does(
    stage: str, dtype: str, tmp_path: Path
) -> None:
    file = tmp_path / "run.safetensors"
    whole = make_problem(replace(SMALL, dtype=dtype))
    part = make_problem(replace(SMALL, dtype=dtype, epochs=4))
    train(part, stage, checkpoint=file, every=3)
    assert load_checkpoint(file).epoch == 4  # the end is kept, whatever `every` says
    assert identical(train(whole, stage, resume=file), train(whole, stage))


def test_a_checkpoint_of_the_same_run_has_the_same_bytes(tmp_path: Path) -> None:
    code = (
        "import sys, handgrad; handgrad.train(handgrad.make_problem("
        "handgrad.Config(epochs=3, hidden=3)), checkpoint=sys.argv[1])"
    )
    for name in "ab":
        subprocess.run([sys.executable, "-c", code, str(tmp_path / name)], check=True)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_any_stage_goes_on_where_another_stopped(tmp_path: Path) -> None:
    file, whole = tmp_path / "run", make_problem(SMALL)
    train(make_problem(replace(SMALL, epochs=3)), "pytorch_nn_module", checkpoint=file)
    for stage in STAGES:
        run, reference = train(whole, stage, resume=file), train(whole, stage)
        assert run.rows[:4] == load_checkpoint(file).rows
        for one, other in zip(run.params, reference.params, strict=True):
            assert abs(one - other).max() < 1e-14


def stamp(file: Path) -> int:
    return file.stat().st_mtime_ns if file.exists() else 0


@pytest.mark.slow
@posix
def test_a_kill_at_any_instant_leaves_a_whole_checkpoint(tmp_path: Path) -> None:
    file = tmp_path / "run"
    code = (
        "import sys, handgrad; problem = handgrad.make_problem(handgrad.Config(epochs=4000)); "
        "handgrad.train(problem, checkpoint=sys.argv[1], every=1, **"
        "({'resume': sys.argv[1]} if len(sys.argv) > 2 else {}))"
    )
    epochs = []
    for kill in range(6):
        arguments = [sys.executable, "-c", code, str(file), *(["resume"] if kill else [])]
        before = stamp(file)
        with subprocess.Popen(arguments) as process:
            while stamp(file) == before:  # until it has written
                time.sleep(0.01)
            time.sleep(0.037 * kill)
            process.send_signal(signal.SIGKILL)
        epochs.append(load_checkpoint(file).epoch)
    assert epochs == sorted(set(epochs)), "every try goes on from the last"
    problem = make_problem(Config(epochs=epochs[-1] + 2))
    assert identical(train(problem, resume=file), train(problem))


@pytest.mark.parametrize("stage", ["numpy_manual", "pytorch_nn_module"])
def test_ctrl_c_leaves_a_usable_checkpoint(stage: str, tmp_path: Path) -> None:
    file, problem = tmp_path / "run", make_problem(SMALL)

    def interrupt(epoch: int, row: Any) -> None:
        if epoch == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(problem, stage, checkpoint=file, every=100, on_epoch=interrupt)
    assert load_checkpoint(file).epoch == 4
    assert identical(train(problem, stage, resume=file), train(problem, stage))


def spoil(file: Path, how: str) -> None:
    if how == "missing":
        file.unlink()
    elif how == "truncated":
        file.write_bytes(file.read_bytes()[:-20])
    elif how == "text":
        file.write_text("epoch 3, loss 0.1")
    elif how == "empty":
        file.write_bytes(b"")
    elif how == "folder":
        file.unlink()
        file.mkdir()
    elif how == "foreign":
        save_file({"W": np.zeros(3)}, file)
    else:
        metadata = {"format": "handgrad checkpoint 1", "config": "{}"}
        save_file({"W1": np.zeros(3)}, file, metadata)


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("missing", "must be a file that can be read"),
        ("folder", "must be a file that can be read"),
        ("truncated", "truncated or foreign"),
        ("text", "truncated or foreign"),
        ("empty", "truncated or foreign"),
        ("foreign", "got another safetensors file"),
        ("damaged", "must be a whole checkpoint, got a damaged one"),
    ],
)
def test_a_checkpoint_that_cannot_be_used_is_told(how: str, says: str, tmp_path: Path) -> None:
    file = tmp_path / "run"
    train(make_problem(SMALL), checkpoint=file)
    spoil(file, how)
    with pytest.raises(BadInput) as error:
        train(make_problem(SMALL), resume=file)
    assert says in str(error.value)
    assert "\n" not in str(error.value)


def test_a_checkpoint_of_another_problem_is_told(tmp_path: Path) -> None:
    file, problem = tmp_path / "run", make_problem(SMALL)
    train(problem, checkpoint=file)
    with pytest.raises(BadInput, match=r"hidden must be 3 as in .*, got 4"):
        train(make_problem(replace(SMALL, hidden=4)), resume=file)
    with pytest.raises(BadInput, match=r"epochs must be at least the 6 that .* has done, got 5"):
        train(make_problem(replace(SMALL, epochs=5)), resume=file)
    with pytest.raises(BadInput, match="made on other data"):
        train(replace(problem, x_train=problem.x_train * 2), resume=file)


def test_a_checkpoint_that_cannot_be_written_is_told_before_the_work(tmp_path: Path) -> None:
    epochs: list[int] = []
    with pytest.raises(BadInput, match="must be a file that can be written"):
        train(
            make_problem(SMALL),
            checkpoint=tmp_path / "no" / "run",
            on_epoch=lambda epoch, row: epochs.append(epoch),
        )
    assert epochs == []


def test_wrong_arguments_are_told(tmp_path: Path) -> None:
    problem = make_problem(SMALL)
    with pytest.raises(BadInput, match="every must be a whole number of at least 1, got 0"):
        train(problem, every=0)
    with pytest.raises(BadInput, match="leave resume out"):
        train(problem, record=True, resume=tmp_path / "run")


# Divergence


@pytest.mark.parametrize("stage", STAGES)
def test_a_training_that_diverges_stops_and_says_where(stage: str, tmp_path: Path) -> None:
    file = tmp_path / "run"
    problem = make_problem(replace(SMALL, lr=1e3, epochs=50))
    run = train(problem, stage, record=True, checkpoint=file)
    assert run.diverged_at is not None
    assert run.trajectory is not None
    assert np.isfinite(run.trajectory).all()
    assert len(run.trajectory) == run.steps + 1 == run.diverged_at
    assert np.isfinite(run.rows).all()
    assert load_checkpoint(file).epoch == run.final["epoch"]
    assert run.diverged_at // 4 == run.final["epoch"]


def test_nan_from_an_engine_is_a_divergence() -> None:
    wrong: Any = copy_of("numpy_manual")
    right = wrong.sgd

    def sgd(*arguments: Any) -> Any:
        first = 1 + 4 * (SMALL.epochs - len(arguments[3]))
        for step, params in enumerate(right(*arguments), first):
            if step == 6:
                params[0][0, 0] = np.nan
            yield params

    wrong.sgd = sgd
    run = train(make_problem(SMALL), wrong)
    assert (run.diverged_at, run.final["epoch"]) == (6, 1)


def test_a_checkpoint_never_overwrites_another_file(tmp_path: Path) -> None:
    file = tmp_path / "thesis.txt"
    file.write_text("my work")
    with pytest.raises(BadInput, match="exists, and may hold another training"):
        train(make_problem(SMALL), checkpoint=file)
    assert file.read_text() == "my work"


def test_an_initial_network_that_is_not_finite_has_diverged_at_0() -> None:
    run = train(make_problem(replace(SMALL, init="normal:1e200")))
    assert (run.diverged_at, run.steps) == (0, 0)


def test_a_callback_keeps_the_error_state_of_its_caller() -> None:
    """The training's own overflow is seen in the values; a callback's is its caller's."""

    def overflow(epoch: int, row: Epoch) -> None:
        np.multiply(1e308, np.full(1, 10.0))

    with np.errstate(over="raise"), pytest.raises(FloatingPointError):
        train(make_problem(Config(epochs=1)), on_epoch=overflow)
    with np.errstate(over="raise"):
        assert train(make_problem(Config(lr=1e200, epochs=2))).diverged_at == 1
