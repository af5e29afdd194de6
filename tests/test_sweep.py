"""The sweep: it is the same training, nothing is lost, and what it says of it is right."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from numba import njit
from polars.testing import assert_frame_equal
from system import posix
from test_cli import INTERRUPTED, handgrad

from handgrad import BadInput, Config, cli, make_problem, train
from handgrad.parity import run_bound
from handgrad.problem import samples as numpy_samples
from handgrad.sweep import Grid, engine, kernel, run_sweep, streams
from handgrad.sweep.grid import SOURCES
from handgrad.sweep.kernel import LANES
from handgrad.sweep.run import _frame
from handgrad.sweep.store import Store, read_results
from handgrad.sweep.summary import summarised

SEEDS = [0, 1, 42, 2**31, 2**32 - 1, 2**32 + 5, 2**63 + 11]
KEYS = [engine.TRAIN, engine.VAL, engine.INIT, engine.ORDER]

# The same draws


@pytest.mark.parametrize("key", KEYS)
def test_the_streams_are_numpys(key: tuple[int, ...]) -> None:
    states = streams.states(np.array(SEEDS, np.uint64), np.array(key, np.uint32))
    for seed, state in zip(SEEDS, states, strict=True):
        theirs = np.random.SeedSequence(seed, spawn_key=key)
        found = np.empty(1001)
        streams.uniform(state, found)
        assert (found == np.random.default_rng(theirs).uniform(-1, 1, 1001)).all()


@pytest.mark.parametrize("n", [1, 2, 3, 10, 500, 512, 513])
def test_the_shuffles_are_numpys(n: int) -> None:
    (state,) = streams.states(np.array([7], np.uint64), np.array([2], np.uint32))
    found = np.empty(n, np.int32)
    rng = np.random.default_rng(np.random.SeedSequence(7, spawn_key=(2,)))
    for row in rng.permuted(np.tile(np.arange(n), (50, 1)), axis=1):
        streams.shuffled(state, found)
        assert (found == row).all()


def test_the_samples_are_the_problems() -> None:
    states = streams.states(np.array([5], np.uint64), np.array(engine.VAL, np.uint32))
    x, y = numpy_samples(np.random.SeedSequence(5, spawn_key=engine.VAL), 333)
    assert (streams.samples(states, 333)[0] == np.concatenate([x, y], axis=1)).all()


# The same training

SHAPES: dict[str, dict[str, Any]] = {
    "default": {},
    "narrow": {"hidden": 4, "init": "normal:0.1"},
    "one unit, short batches": {"hidden": 1, "n_train": 50, "batch_size": 7, "epochs": 40},
    "one batch": {"hidden": 16, "n_train": 101, "batch_size": 101, "lr": 0.5, "epochs": 60},
    "batches of one": {"hidden": 3, "n_train": 33, "batch_size": 1, "epochs": 20},
}


def stage_1(config: Config) -> list[np.ndarray]:
    return list(train(make_problem(config), "numpy_manual").params)


def largest_difference(
    grid: Grid, seeds: np.ndarray, tested: list[int]
) -> tuple[float, dict[str, Any]]:
    (cell,) = grid.cells
    found, columns = engine.trained(cell, seeds)
    differences = [
        max(
            float(abs(ours - theirs).max())
            for ours, theirs in zip(found[r], stage_1(cell.seeded(int(seeds[r]))), strict=True)
        )
        for r in tested
    ]
    return max(differences), columns


@pytest.mark.slow
@pytest.mark.parametrize("shape", SHAPES)
def test_every_replica_is_stage_1s_training(shape: str) -> None:
    grid = Grid(dtype="float64", **SHAPES[shape])
    tested = list(range(LANES if shape == "default" else 16))
    difference, _ = largest_difference(grid, np.arange(LANES), tested)
    assert difference <= 1e-12


@pytest.mark.slow
@pytest.mark.parametrize("shape", ["default", "narrow"])
def test_float32_is_stage_1s_training(shape: str) -> None:
    """To the bound of each run: `parity.run_bound` measures how chaotic it is."""
    (cell,) = Grid(dtype="float32", **SHAPES[shape]).cells
    found, _ = engine.trained(cell, np.arange(6))
    for seed, ours in enumerate(found):
        problem = make_problem(cell.seeded(seed))
        bound = run_bound(problem)
        assert bound < 1e-2
        for mine, theirs in zip(ours, train(problem, "numpy_manual").params, strict=True):
            assert abs(mine - theirs).max() <= bound


@pytest.mark.parametrize("vary", ["data", "init", "order", "data,init", "order,data"])
def test_streams_that_do_not_vary_stay(vary: str) -> None:
    grid = Grid(vary=(vary,), seed=5, dtype="float64", epochs=10, n_train=60)
    difference, _ = largest_difference(grid, np.arange(100, 103), [0, 1, 2])
    assert difference <= 1e-12
    config = grid.cells[0].seeded(7)
    assert {s: getattr(config, f"{s}_seed") for s in SOURCES} == {
        s: 7 if s in vary.split(",") else None for s in SOURCES
    }


def test_the_comparison_sees_a_billionth(monkeypatch: pytest.MonkeyPatch) -> None:
    """One weight of one replica that starts 1e-9 beside its place."""
    right = engine._initial

    def wrong(seeds: np.ndarray, config: Config) -> np.ndarray:
        P = right(seeds, config)
        P[5] += 1e-9  # lane 5, W1[0, 0]
        return P

    monkeypatch.setattr(engine, "_initial", wrong)
    grid = Grid(dtype="float64", epochs=20)
    assert largest_difference(grid, np.arange(LANES), [4, 6])[0] <= 1e-12
    assert largest_difference(grid, np.arange(LANES), [5])[0] > 1e-10


def test_a_replica_does_not_depend_on_its_neighbours() -> None:
    whole = run_sweep(Grid(seeds=LANES + 7, epochs=5, hidden=(3,)))
    for seeds in (1, 5, LANES):
        assert_frame_equal(run_sweep(Grid(seeds=seeds, epochs=5, hidden=(3,))), whole.head(seeds))


def test_divergence_is_counted_and_stays_in_its_lane(monkeypatch: pytest.MonkeyPatch) -> None:
    grid = Grid(seeds=LANES, epochs=20)
    right = run_sweep(grid)
    drawn = engine._initial

    def wild(seeds: np.ndarray, config: Config) -> np.ndarray:
        P = drawn(seeds, config)
        P.reshape(-1, LANES)[:, 10] *= 1e6
        return P

    monkeypatch.setattr(engine, "_initial", wild)
    found = run_sweep(grid)
    assert found["diverged"].arg_true().to_list() == [10]
    assert found["val_accuracy"][10] is None
    others = pl.col("seed") != 10
    assert_frame_equal(found.filter(others), right.filter(others))
    summary = summarised(found.lazy())
    assert summary["diverged"].to_list() == [1]
    assert summary["success"][0] < 1 - 0.9 / LANES  # one that diverged is no success


def test_a_learning_rate_that_is_too_large_diverges_as_in_stage_1() -> None:
    found = run_sweep(Grid(seeds=20, lr=(2.5,), epochs=30, dtype="float64", hidden=(16,)))
    ours = found["diverged"].to_list()
    theirs = [
        train(
            make_problem(Config(seed=s, lr=2.5, epochs=30, hidden=16)), "numpy_manual"
        ).diverged_at
        for s in range(20)
    ]
    assert ours == [at is not None for at in theirs]
    assert 0 < sum(ours) < 20


def test_a_loss_that_is_infinite_has_diverged_as_in_stage_1() -> None:
    grid = Grid(seeds=8, dtype="float64", lr=(100.0,), epochs=2, n_train=100)
    theirs = [
        train(make_problem(grid.cells[0].seeded(s)), "numpy_manual").diverged_at for s in range(8)
    ]
    assert run_sweep(grid)["diverged"].to_list() == [at is not None for at in theirs]
    vast = run_sweep(Grid(seeds=2, init=("normal:1e300",), epochs=0))
    assert vast["diverged"].all()
    assert summarised(vast.lazy())["accuracy_median"].to_list() == [None]


def test_a_grid_takes_what_numpy_gives() -> None:
    grid = Grid(seeds=np.int64(5), hidden=np.array([2, 4]), lr=iter([0.1, 0.2]))  # type: ignore[arg-type]
    assert grid == Grid(seeds=5, hidden=(2, 4), lr=(0.1, 0.2))
    assert Grid.from_dict(json.loads(json.dumps(grid.as_dict()))) == grid
    with pytest.raises(BadInput, match="hidden must be a whole number"):
        Grid(hidden=([2],))  # type: ignore[arg-type]


# What the table says


def test_the_columns_are_the_runs_own() -> None:
    grid = Grid(seeds=6, hidden=(5,), init=("normal:0.4",), epochs=43, dtype="float64")
    table = run_sweep(grid)
    for seed, row in enumerate(table.to_dicts()):
        run = train(make_problem(grid.cells[0].seeded(seed)), "numpy_manual")
        looks = run.history["val_accuracy"][list(grid.looked_at)]
        assert grid.looked_at == (0, 10, 20, 30, 40, 43)
        assert row["val_accuracies"] == pytest.approx(looks)
        assert row["val_accuracy"] == pytest.approx(looks[-1])
        assert row["best_val_accuracy"] == pytest.approx(looks.max())
        assert row["val_loss"] == pytest.approx(run.final["val_loss"])
        assert row["train_loss"] == pytest.approx(run.final["train_loss"])
        reached = np.flatnonzero(looks >= 0.93)
        assert row["first_epoch"] == (grid.looked_at[reached[0]] if len(reached) else None)
        a1 = run.problem.x_train @ run.params.W1.T + run.params.b1
        assert row["dead_units"] == (a1 <= 0).all(axis=0).sum()
        assert (row["seed"], row["hidden"], row["init"]) == (seed, 5, "normal:0.4")
    assert len({row["first_epoch"] for row in table.to_dicts()}) > 1


def test_the_table_is_in_the_grids_order() -> None:
    grid = Grid(seeds=3, hidden=(2, 4), lr=(0.2, 0.1), init=("normal:0.1", "he"), epochs=1)
    rows = run_sweep(grid).select("init", "hidden", "lr", "seed").rows()
    combinations = [(i, h, lr) for i in grid.init for h in grid.hidden for lr in grid.lr]
    assert rows == [(*c, s) for c in combinations for s in range(3)]


def test_the_summary() -> None:
    accuracies = [0.5, 0.79, 0.80, 0.93, 0.97, None]
    one = {"init": "he", "hidden": 8, "lr": 0.1}
    rows = [
        one | {"varies": varies, "val_accuracy": a, "val_loss": 0.1, "dead_units": 1}
        | {"diverged": a is None}
        for varies, spread in (("init", 0.5), ("data,init,order", 1.0))
        for a in (None if a is None else 0.9 + spread * (a - 0.9) for a in accuracies)
    ]  # fmt: skip
    some, whole = summarised(pl.DataFrame(rows).lazy()).to_dicts()
    assert whole["success"] == pytest.approx(2 / 6)
    assert whole["stuck"] == pytest.approx(2 / 6)
    assert (whole["trainings"], whole["diverged"], whole["dead_units"]) == (6, 1, 1.0)
    assert whole["accuracy_median"] == pytest.approx(0.80)
    assert some["explains"] == pytest.approx(0.25)
    assert whole["explains"] == pytest.approx(1)


# Nothing is lost

SWEEP = ["sweep", "--seeds", "2600", "--hidden", "2,4", "--epochs", "60", "--out", "kept"]


@pytest.mark.slow
@posix
def test_killed_at_any_instant_and_resumed_it_is_the_same_table(tmp_path: Path) -> None:
    grid = Grid(seeds=2600, hidden=(2, 4), epochs=60)
    parts = tmp_path / "kept" / "parts"
    for wanted in (1, 5):
        with subprocess.Popen(
            [sys.executable, "-m", "handgrad", *SWEEP, *["--resume"] * (wanted > 1)],
            cwd=tmp_path,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as process:
            while len(list(parts.glob("*.parquet"))) < wanted and process.poll() is None:
                time.sleep(0.005)
            process.send_signal(signal.SIGKILL)
        assert process.returncode == -signal.SIGKILL
    left = len(list(parts.glob("*.parquet")))
    assert 5 <= left < len(grid.chunks)
    done = handgrad(*SWEEP, "--resume", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    table = pl.read_parquet(tmp_path / "kept" / "results.parquet")
    assert_frame_equal(table, run_sweep(grid), check_exact=True)
    assert not parts.exists()
    assert json.loads(done.stdout)["summary"][0]["trainings"] == 2600
    before = (tmp_path / "kept" / "success.svg").read_bytes()
    (tmp_path / "kept" / "success.svg").unlink()
    assert handgrad("sweep", "--from", "kept", cwd=tmp_path).returncode == 0
    assert (tmp_path / "kept" / "success.svg").read_bytes() == before


def test_a_part_that_was_lost_is_trained_again(tmp_path: Path) -> None:
    grid = Grid(seeds=1500, epochs=2)
    store = Store(tmp_path, grid, resume=False)
    chunk = grid.chunks[1]
    store.add(chunk, _frame(chunk, engine.train_chunk(chunk)))
    assert Store(tmp_path, grid, resume=True).done == {1}
    advanced: list[int] = []
    assert_frame_equal(
        run_sweep(grid, tmp_path, resume=True, on_progress=advanced.append), run_sweep(grid)
    )
    assert sorted(advanced) == [476, 512, 512]


def test_parts_that_are_not_the_sweeps_do_not_count(tmp_path: Path) -> None:
    grid = Grid(seeds=1500, epochs=1)
    store = Store(tmp_path, grid, resume=False)
    foreign = Grid(seeds=20, epochs=1).chunks[0]
    for number, content in ((0, b""), (1, b"x"), (7, b"x")):
        (tmp_path / "parts" / f"{number:06}.parquet").write_bytes(content)
    (tmp_path / "parts" / "foo.parquet").write_bytes(b"x")
    store.add(foreign._replace(number=2), _frame(foreign, engine.train_chunk(foreign)))
    assert Store(tmp_path, grid, resume=True).done == set()
    assert_frame_equal(run_sweep(grid, tmp_path, resume=True), run_sweep(grid))


def test_folders_are_names_and_not_patterns(tmp_path: Path) -> None:
    grid = Grid(seeds=3, epochs=1)
    whole = run_sweep(grid)
    for name in ("g1", "g[1]", "g*"):
        assert_frame_equal(run_sweep(grid, tmp_path / name), whole)


def test_results_that_were_damaged_are_told(tmp_path: Path) -> None:
    grid = Grid(seeds=3, epochs=1)
    table, path = run_sweep(grid, tmp_path), tmp_path / "results.parquet"
    (tmp_path / "results.sha256").unlink()  # as earlier versions left it
    for content in (b"", b"x", None):
        if content is None:
            table.head(2).write_parquet(path)
        else:
            path.write_bytes(content)
        with pytest.raises(BadInput, match=r"must hold 3 trainings, but holds (2|no readable)"):
            run_sweep(grid, tmp_path, resume=True)
    path.unlink()
    assert_frame_equal(run_sweep(grid, tmp_path, resume=True), table)
    (tmp_path / "sweep.json").unlink()
    with pytest.raises(BadInput, match=r"no sweep\.json that says of what"):
        run_sweep(grid, tmp_path, resume=True)


@pytest.mark.slow
@posix
def test_ctrl_c_says_how_to_go_on(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "handgrad", "sweep", "--seeds", "200000", "--out", "kept"]
    with subprocess.Popen(
        command, cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    ) as process:
        while not list(tmp_path.glob("kept/parts/*.parquet")):
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode in INTERRUPTED
    assert "handgrad: interrupted; go on with --resume --out kept" in said


@pytest.mark.slow
@posix
def test_ctrl_c_does_not_wait_for_a_chunk_of_minutes(tmp_path: Path) -> None:
    long = ["--epochs", "100000", "--n-train", "5000", "--every", "0", "--out", "kept"]
    command = [sys.executable, "-m", "handgrad", "sweep", *long]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as process:
        while not (tmp_path / "kept" / "parts").exists():
            time.sleep(0.01)
        time.sleep(2)  # the kernel is at work: nothing of Python's runs
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=10)
    assert process.returncode in INTERRUPTED
    assert "handgrad: interrupted; go on with" in said


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of what Dask says while a worker dies
@posix
def test_a_cluster_that_loses_a_worker_loses_nothing(tmp_path: Path) -> None:
    from distributed import Client, LocalCluster

    grid = Grid(seeds=3000, hidden=(4, 8), epochs=60)
    with (
        LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            dashboard_address=None,
        ) as cluster,
        Client(cluster) as client,
    ):
        victims = list(client.run(os.getpid).values())
        assert len(set(victims)) == 2
        counted = []

        def on_progress(trainings: int) -> None:
            counted.append(trainings)
            if len(counted) == 4:
                os.kill(victims[0], signal.SIGKILL)

        table = run_sweep(grid, address=cluster.scheduler_address, on_progress=on_progress)
        assert victims[0] not in client.run(os.getpid).values()
    assert sum(counted) == grid.trainings
    assert_frame_equal(table, run_sweep(grid))


# Bad input


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("--hidden 2,,4", "--hidden must be whole numbers joined by commas, got '2,,4'"),
        ("--hidden 2,x", "--hidden must be whole numbers joined by commas, got '2,x'"),
        ("--lr fast", "--lr must be numbers joined by commas, got 'fast'"),
        ("--lr 0.1,0.1", "no combination must be there twice, but h = 8, lr 0.1, he"),
        ("--init normal:0.1,normal:0.10", "no combination must be there twice"),
        ("--vary all --vary order,init,data", "no combination must be there twice"),
        ("--lr 1e-50", "lr must be a float32 above 0, got 1e-50"),
        ("--seeds 1000000000000", "a sweep must be of at most 100,000,000 trainings"),
        ("--seed 18446744073709551616", "seed must be below 2⁶⁴"),
        ("--from here --resume", "--from draws what is there: leave out --resume"),
        ("--lr 0", "lr must be a finite number above 0, got 0.0"),
        ("--hidden 0", "hidden must be a whole number of at least 1, got 0"),
        ("--init xavier", "init must be he or normal:SD with a finite SD above 0, got 'xavier'"),
        ("--vary luck", "vary must be all, each, or some of data, init, order"),
        ("--seeds 0", "seeds must be a whole number of at least 1, got 0"),
        ("--every -1", "every must be a whole number of at least 0, got -1"),
        ("--batch-size 501", "batch_size must not exceed n_train, got 501 > 500"),
        ("--backend spark", "--backend must be local, or dask with --address"),
        ("--backend dask", "--backend must be local, or dask with --address"),
        ("--address tcp://127.0.0.1:1", "--backend must be local, or dask with --address"),
        ("--from nowhere", "nowhere must hold a sweep (a readable sweep.json), and does not"),
        ("--backend dask --address no", "address must be that of a Dask scheduler that answers"),
        ("--backend dask --address tcp://127.0.0.1:1", "scheduler that answers within 5 seconds"),
    ],
)
def test_bad_input_is_one_line(
    arguments: str,
    says: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["handgrad", "sweep", *arguments.split()])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    said = capsys.readouterr().err
    assert ended.value.code == 2
    assert says in said
    assert said.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_folder_that_holds_a_sweep_is_never_overwritten(tmp_path: Path) -> None:
    grid = Grid(seeds=3, epochs=1)
    first = run_sweep(grid, tmp_path / "kept")
    with pytest.raises(BadInput, match="holds this sweep already: add --resume"):
        run_sweep(grid, tmp_path / "kept")
    with pytest.raises(BadInput, match="must not hold another sweep, but does"):
        run_sweep(Grid(seeds=4, epochs=1), tmp_path / "kept", resume=True)
    assert_frame_equal(run_sweep(grid, tmp_path / "kept", resume=True), first)
    (tmp_path / "kept" / "results.parquet").unlink()
    done = handgrad("sweep", "--from", "kept", cwd=tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "must hold a finished sweep: go on with it with --resume" in done.stderr


@pytest.mark.slow
def test_figures_of_what_diverged_say_so(tmp_path: Path) -> None:
    command = "sweep --seeds 20 --lr 100,0.1 --epochs 20 --vary all --vary init --out kept"
    done = handgrad(*command.split(), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for name in ("distribution", "epochs", "luck"):
        assert "without 40 that diverged" in (tmp_path / "kept" / f"{name}.svg").read_text()


@pytest.mark.slow
def test_figures_are_drawn_for_every_group(tmp_path: Path) -> None:
    done = handgrad(
        "sweep", "--seeds", "40", "--epochs", "20", "--vary", "each", "--out", "kept", cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    names = {"distribution", "success", "epochs", "luck"}
    files = {path.name for path in (tmp_path / "kept").iterdir()}
    assert {f"{name}.{kind}" for name in names for kind in ("png", "svg")} <= files
    assert "expl." in done.stdout
    luck = (tmp_path / "kept" / "luck.svg").read_text()
    assert luck.count("<path") > 10


def test_the_kernel_is_vectorised() -> None:
    fresh = njit(fastmath={"contract"})(kernel._four.py_func)  # numba shows no cached code
    X, P, G, F = (np.zeros(k * LANES, np.float32) for k in (12, 33, 33, 4))
    share: Any = np.float32(1)
    fresh(X, 0, 1, 2, 3, P, G, F, share)
    (code,) = fresh.inspect_asm().values()
    assert re.search(r"v?fn?m(add|sub)\w*ps|mulps|fmla", code)  # packed: x86-64 or ARM


# Where a sweep stands


@pytest.mark.slow
def test_one_flipped_byte_of_the_results_is_seen(tmp_path: Path) -> None:
    run_sweep(Grid(seeds=100, epochs=1), tmp_path)
    file = tmp_path / "results.parquet"
    data = file.read_bytes()
    read_results(tmp_path)
    for place in np.random.default_rng(0).integers(len(data), size=20):
        flipped = bytearray(data)
        flipped[place] ^= 1
        file.write_bytes(flipped)
        with pytest.raises(BadInput, match="its SHA-256 is not that of"):
            read_results(tmp_path)
    (tmp_path / "results.sha256").unlink()  # as an earlier version left it
    file.write_bytes(data)
    assert read_results(tmp_path).collect().height == 100
    file.write_bytes(data[:-9])
    with pytest.raises(BadInput, match="must hold 100 trainings, but holds no readable ones"):
        read_results(tmp_path)


@pytest.mark.slow
def test_a_sweep_runs_where_numba_can_keep_nothing(tmp_path: Path) -> None:
    # As in a container whose disk is read-only: numba finds no folder that it can write to.
    block = (
        "import sys, numba.core.caching as c\n"
        "c.CacheImpl._locator_classes = []\n"
        "sys.argv = ['handgrad', 'sweep', '--seeds', '2', '--epochs', '1', '--out', 'here']\n"
        "from handgrad.__main__ import main\n"
        "main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", block], cwd=tmp_path, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert "numba's cache cannot be written" in done.stderr
    assert (tmp_path / "here" / "results.parquet").exists()
