"""Details of the ladder and the sweep: what is exactly held, refused, told, and in which words."""

import json
import math
import operator
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import FrozenInstanceError
from fractions import Fraction
from itertools import count
from pathlib import Path
from threading import Event
from types import SimpleNamespace
from typing import Any

import nbformat
import numpy as np
import polars as pl
import pytest
import torch
from engines import copy_of
from exercises import _Sealed, _Texts
from rich.console import Console

from handgrad import STAGES, BadInput, Comparison, Config, make_problem, rounding, train
from handgrad.comparison import raised
from handgrad.exact import Degree, Dual, hand_worked, prove, worked
from handgrad.exact.proof import _draws
from handgrad.extras import Missing
from handgrad.lesson import require
from handgrad.notebooks import notebooks, read_notebook
from handgrad.parity import parameter_at
from handgrad.progress import (
    EMPTY,
    NOT_REACHED,
    RIGHT,
    WRONG,
    Answer,
    Learner,
    Limits,
    _checked,
    _kernel,
    _Stop,
    answers,
    learners,
    progress,
)
from handgrad.stages import load
from handgrad.stages.pytorch_nn_module import EpochOrder
from handgrad.sweep import Grid
from handgrad.sweep.backends import local
from handgrad.sweep.figures import success
from handgrad.sweep.summary import ENOUGH, curves, printed, summarised
from handgrad.verification import Verification, compare_runs
from handgrad.witnesses import check_exact, check_finite_differences

# Exact numbers

OPERATORS = (
    operator.lt,
    operator.le,
    operator.gt,
    operator.ge,
    operator.eq,
    operator.ne,
    operator.add,
    operator.sub,
    operator.mul,
    operator.truediv,
)


@pytest.mark.parametrize("operated", OPERATORS, ids=lambda o: o.__name__)
@pytest.mark.parametrize("kind", [Dual, Degree])
def test_an_exact_number_beside_an_array_meets_each_of_its_entries(
    operated: Callable[..., Any], kind: Any
) -> None:
    number, plain = kind(2), np.array([0.5, 2.0, 4.0])
    for entries in (plain, plain.astype(object), plain.reshape(3, 1)):
        for found, expected in (
            (operated(number, entries), operated(2.0, plain)),
            (operated(entries, number), operated(plain, 2.0)),
        ):
            assert found.shape == entries.shape
            got = [getattr(one, "value", one) for one in found.ravel()]
            assert got == expected.tolist()


# Proofs


def test_a_base_point_at_which_the_code_divides_by_0_is_left_for_another() -> None:
    shapes = {"x": (3,)}
    seed = next(seed for seed in count() if 0 in next(next(_draws(shapes, 1, seed)))["x"])
    proof = prove(
        lambda p: (1 / p["x"]).sum(), lambda p: {"x": -1 / p["x"] ** 2}, shapes, draws=1, seed=seed
    )
    assert proof.ok


# The network that is worked by hand


def test_two_samples_of_the_worked_network_once_more_by_hand() -> None:
    """a1: (½ − ½, −⅛ + 3/2 − ½, 3/16 + ½ + ¼); f: 3/2 · 7/8 + ½ · 15/16 + ¼, unit 1 is off."""
    found = worked().forward
    assert found["a1"][0].tolist() == [0, 7 / 8, 15 / 16]
    assert found["a1"][3].tolist() == [7 / 8, -1 / 2, 15 / 16]
    assert found["f"][3].tolist() == [65 / 32]


def test_float32_holds_what_the_worked_network_begins_with() -> None:
    given = hand_worked.X, hand_worked.Y, hand_worked.W1, hand_worked.B1, hand_worked.W2
    numbers = [n for array in given for n in np.ravel(np.array(array, dtype=object))]
    for number in (*numbers, *hand_worked.B2, hand_worked.LR):
        assert Fraction(float(np.float32(float(number)))) == number


def test_fractions_hold_float64_parameters_to_the_last_bit() -> None:
    """One part in 10¹⁵ on W2 after the steps is no rounding: there is none."""
    wrong: Any = copy_of("numpy_manual")
    right = wrong.sgd

    def sgd(*arguments: Any) -> Any:
        for W1, b1, W2, b2 in right(*arguments):
            yield W1, b1, W2 * (1 + 2.0**-50), b2

    wrong.sgd = sgd
    assert {c.quantity for c in check_exact(wrong, "float64", "cpu") if not c.ok} == {"W2"}


def test_fractions_hold_float32_gradients_to_the_last_bit() -> None:
    wrong: Any = copy_of("numpy_manual")
    right = wrong.backward

    def backward(*arguments: Any) -> Any:
        dW1, db1, dW2, db2 = right(*arguments)
        return dW1, db1, dW2 * np.float32(1 + 2.0**-22), db2

    wrong.backward = backward
    failures = [c for c in check_exact(wrong, "float32", "cpu") if not c.ok]
    assert "dW2" in {c.quantity for c in failures}


def test_every_gradient_is_held_to_central_differences() -> None:
    """At four points, within a bound that leaves no room for a mistake."""
    problem = make_problem(Config(hidden=3, n_train=42, batch_size=8, epochs=0))
    found = list(check_finite_differences(load("numpy_manual"), problem))
    assert [c.quantity for c in found] == ["dW1", "db1", "dW2", "db2"] * 4
    assert all(found)
    assert max(c.bound for c in found) < 1e-6


# Two runs


def test_a_residual_that_cancels_leaves_the_rounding_of_its_parts() -> None:
    """f = y = 1: f − y is 0, but each may be off by roundings, and so may dW2."""
    x, y = np.array([[1.0, 0.0]]), np.array([[1.0]])
    params = np.array([[1.0, 0.0]]), np.zeros(1), np.array([[1.0]]), np.zeros(1)
    bounds = rounding.point_bounds(x, y, *params)
    eps = float(np.finfo(np.float64).eps)
    for name in ("df", "dW1", "db1", "dW2", "db2"):
        assert 2 * eps <= bounds[name] <= 100 * eps


def test_what_holds_arrays_is_compared_by_identity() -> None:
    one, other = (make_problem(Config(hidden=2, epochs=1)) for _ in range(2))
    runs = train(one), train(other)
    proofs = [Verification(one, (), (), {}, "not asked for", {}) for _ in range(2)]
    for a, b in ((one, other), runs, proofs):
        assert a == a
        assert a != b
        assert len({a, b}) == 2


def test_a_stage_whose_package_is_missing_is_left_out_with_its_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def without_torch(stage: Any) -> Any:
        if str(stage).startswith("pytorch"):
            raise Missing(f"{stage} needs torch")
        return load(stage)

    monkeypatch.setattr("handgrad.verification.load", without_torch)
    found = compare_runs(make_problem(Config(hidden=2, epochs=1)))
    assert found.stages == ("numpy_manual",)
    assert found.left_out == {name: f"{name} needs torch" for name in STAGES[1:]}


# What the sweep refuses and prints


def test_a_grid_has_the_defaults_of_a_training_but_for_the_dtype() -> None:
    (cell,) = Grid().cells
    assert cell.config == Config(dtype="float32")


def test_a_grid_stays_as_it_was_checked() -> None:
    grid = Grid(seeds=3)
    with pytest.raises(FrozenInstanceError):
        grid.seeds = 4  # type: ignore[misc]
    assert len({grid, Grid(seeds=3), Grid(seeds=4)}) == 2


def test_the_summary_has_the_order_of_the_table() -> None:
    widths = [5, 3, 9, 1, 7, 2, 8, 4, 6, *range(40, 10, -1)]
    rows = [
        {"varies": "init", "init": "he", "hidden": h, "lr": 0.1, "val_accuracy": 0.5}
        | {"val_loss": 0.1, "dead_units": 1, "diverged": False}
        for h in widths
        for _ in range(2)
    ]
    assert summarised(pl.DataFrame(rows).lazy())["hidden"].to_list() == widths


def test_a_band_is_drawn_from_ten_thousand_seeds() -> None:
    table = pl.DataFrame({"seed": range(ENOUGH + 1)}).with_columns(
        pl.lit("init").alias("varies"),
        pl.lit("he").alias("init"),
        pl.lit(2).alias("hidden"),
        pl.lit(0.1).alias("lr"),
        pl.lit(value=False).alias("diverged"),
        pl.concat_list(pl.col("seed").cast(pl.Float64)).alias("val_accuracies"),
    )
    found = curves(table.lazy()).to_dicts()
    assert [one["median"] for one in found] == [(ENOUGH - 1) / 2]


def test_a_panels_title_names_its_initialisation_and_what_varies() -> None:
    grid = Grid(seeds=3, vary=("init", "all"), init=("normal:0.3",))
    rows = [row_of(varies=varies, init="normal:0.3") for varies in grid.vary]
    axes = success(grid, pl.DataFrame(rows)).axes
    assert [a.get_title() for a in axes] == ["normal:0.3, init varies", "normal:0.3, all vary"]


def test_a_sweep_of_more_than_a_hundred_million_trainings_is_refused() -> None:
    fast: dict[str, Any] = {"hidden": 1, "epochs": 1, "n_train": 10, "batch_size": 10, "n_val": 10}
    assert Grid(seeds=100_000_000, **fast).trainings == 100_000_000
    with pytest.raises(BadInput, match="at most 100,000,000 trainings, got 100,000,001"):
        Grid(seeds=100_000_001, **fast)


def row_of(**fields: Any) -> dict[str, Any]:
    """A row of a summary."""
    quantiles = {f"{of}_{q}": 0.5 for of in ("accuracy", "loss") for q in ("q05", "median", "q95")}
    one = {"varies": "data,init,order", "init": "he", "hidden": 2, "lr": 0.1, "trainings": 3}
    shares = {"success": 0.5, "stuck": 0.25, "dead_units": 1.5, "diverged": 0, "explains": 1.0}
    return one | quantiles | shares | fields


def text_of(grid: Grid, *rows: dict[str, Any]) -> str:
    """The summary as it is printed."""
    console = Console(width=200)
    with console.capture() as capture:
        console.print(printed(grid, pl.DataFrame(rows)))
    return capture.get()


def test_the_printed_summary_names_what_all_its_rows_share() -> None:
    grid = Grid(seeds=3, hidden=(2, 4), lr=(0.2,), init=("normal:0.3",))
    text = text_of(grid, row_of(lr=0.2, init="normal:0.3"))
    assert "6 trainings: 3 seeds of each combination, normal:0.3, lr 0.2" in text


# Where a sweep is computed


def test_without_an_affinity_all_cores_compute(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on macOS and Windows."""
    asked: list[int] = []

    def pool(cores: int) -> ThreadPoolExecutor:
        asked.append(cores)
        return ThreadPoolExecutor(cores)

    monkeypatch.delattr("os.sched_getaffinity", raising=False)
    monkeypatch.setattr("os.cpu_count", lambda: 3)
    monkeypatch.setattr("handgrad.sweep.backends.ThreadPoolExecutor", pool)
    assert sorted(local(lambda task: task + 1, range(4))) == [(0, 1), (1, 2), (2, 3), (3, 4)]
    assert asked == [3]


def test_what_is_in_hand_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1}, raising=False)
    begun, release, ended = Event(), Event(), Event()

    def work(task: int) -> None:
        if task:
            begun.set()
            release.wait(5)
            ended.set()
        else:
            begun.wait(5)

    chunks: Any = local(work, range(2))
    assert next(chunks) == (0, None)
    chunks.close()
    waited = ended.is_set()
    release.set()
    assert not waited


# Exercises


def test_a_sum_at_the_edge_of_a_step_is_not_sealed() -> None:
    """Rounding would carry it into another fingerprint."""
    edge, store = np.array([0.62 * 2.0**-20]), _Sealed(_Texts())
    store.add("dW1", [edge], "a mistake")
    assert store.entries == {}
    with pytest.raises(AssertionError, match="dW1: a sum lies at a step's edge"):
        store.add("dW1", [edge], "✓", required=True)
    store.add("dW1", [edge / 2], "a mistake")
    assert len(store.entries) == 1


# A learner's progress


def test_the_next_blank_is_the_first_that_is_not_right() -> None:
    for state in (WRONG, EMPTY, NOT_REACHED):
        given = [
            Answer("01", "relu", RIGHT),
            Answer("01", "db2", state),
            Answer("02", "sgd", EMPTY),
        ]
        assert Learner(Path(), given).next == "01 db2"
    assert Learner(Path(), given[:1]).next == ""


def test_what_a_learner_prints_beside_the_answer_is_no_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said = {
        "exercise": nbformat.v4.new_output("stream", text="my shapes"),
        "check": nbformat.v4.new_output("stream", text="relu ✓ shape (8, 5)"),
    }

    def run(cell: Any, number: int) -> None:
        cell.outputs = [said[next(iter(cell.metadata))]]

    monkeypatch.setattr("handgrad.progress._kernel", lambda *_: nullcontext(run))
    cells = [nbformat.v4.new_code_cell("", metadata={kind: "relu"}) for kind in said]
    notebook = nbformat.v4.new_notebook(cells=cells)
    assert _checked(notebook, ["relu"], Limits()) == {"relu": (RIGHT, "")}


class Idle:
    """A kernel and its client, of which nothing is started; it takes 6 GB."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self.provisioner = SimpleNamespace(pid=1)

    def setup_kernel(self, **options: Any) -> Any:
        return nullcontext()

    def execute_cell(self, cell: Any, number: int) -> None:
        """Nothing."""

    def memory_info(self) -> Any:
        return SimpleNamespace(rss=6 * 2**30, vms=6 * 2**30)

    def kill(self) -> None:
        """Nothing."""


def test_the_limit_of_memory_is_told_in_gigabytes(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "nbclient.NotebookClient",
        "jupyter_client.manager.AsyncKernelManager",
        "psutil.Process",
    ):
        monkeypatch.setattr(name, Idle)
    with _kernel(None, Limits()) as run, pytest.raises(_Stop, match="takes more than 6 GB of"):
        run(None, 0)


@pytest.mark.parametrize("state", [WRONG, NOT_REACHED])
def test_a_program_that_was_changed_keeps_its_verdict_and_one_that_was_not_is_empty(
    state: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = "exercises/05_find_the_bug.ipynb"
    notebook = read_notebook(notebooks()[place])
    for cell in notebook["cells"]:
        if cell["metadata"].get("exercise") == "program 1":
            cell["source"] += "\n# mine"
    file = tmp_path / Path(place).name
    file.write_text(json.dumps(notebook), "utf-8")
    monkeypatch.setattr(
        "handgrad.progress._checked", lambda _, names, limits: dict.fromkeys(names, (state, "so"))
    )
    first, *others = answers("05", file, Limits())
    assert first == Answer("05", "program 1", state, "so")
    assert {(a.state, a.said) for a in others} == {(EMPTY, "")}


def test_a_file_that_is_no_notebook_is_an_answer_that_is_wrong(tmp_path: Path) -> None:
    names = [Path(place).name for place in notebooks() if place.startswith("exercises/")]
    (tmp_path / names[0]).write_text("x")
    assert learners(tmp_path) == [tmp_path]
    (answer,) = progress(tmp_path).answers
    assert (answer.notebook, answer.blank, answer.state) == (names[0][:2], "the file", WRONG)


# What is told


def test_what_an_engine_raises_is_told_in_one_line() -> None:
    assert raised("mine", "run", ValueError("no\n  batch")) == Comparison(
        "mine", "run", "", math.inf, 0.0, message="mine: raised ValueError (run): no batch"
    )


def test_an_epoch_beyond_the_order_is_told_with_the_last_that_there_is() -> None:
    sampler = EpochOrder(torch.zeros(3, 5, dtype=torch.int64))
    sampler.set_epoch(2)
    with pytest.raises(IndexError, match="epoch must be 0 to 2, got 3"):
        sampler.set_epoch(3)


def test_the_notebooks_compare_the_second_number_of_a_version_too() -> None:
    module: Any = SimpleNamespace(__name__="numpy", __version__="2.1.9")
    require(module, "2.1")
    with pytest.raises(RuntimeError, match=r"numpy must be 2\.2 or newer, but this is 2\.1\.9"):
        require(module, "2.2")


def test_a_column_beyond_the_parameters_is_told_with_their_number() -> None:
    assert parameter_at(8, hidden=2) == ("b2", (0,))
    with pytest.raises(BadInput, match="column must be below 9, got 9"):
        parameter_at(9, hidden=2)
