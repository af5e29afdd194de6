"""What cannot be used is told in one line, on the command line and in Python."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from engines import copy_of
from test_cli import SMALL, handgrad

from handgrad import (
    Config,
    Grid,
    agreement,
    exact,
    gradcheck,
    gradcheck_module,
    make_problem,
    run_sweep,
    train,
    verify,
)
from handgrad.checkpoint import load_checkpoint
from handgrad.errors import BadInput
from handgrad.explore import page, show
from handgrad.files import alone
from handgrad.notebooks import copy_notebooks
from handgrad.stages import numpy_manual

MEMORY = "must be small enough for the machine's"

COMMANDS = [
    ("verify --hidden 100000000000000000000", MEMORY),
    ("verify --n-train 9223372036854775808", MEMORY),
    ("verify --epochs 100000000000000000000", MEMORY),
    ("verify --lr 1e400", "lr must be a finite number above 0, got inf"),
    ("verify --batch-size 100000000000000000000", "batch_size must not exceed n_train"),
    ("verify --init normal:1e400", "init must be he or normal:SD"),
    ("verify --seed -1", "seed must be a whole number of at least 0, got -1"),
    ("verify --prove 0", "prove must be a whole number of at least 1, got 0"),
    ("verify --out ''", "it must name a file or folder, got ''"),
    (
        "explore --hidden 129",
        "hidden must be at most 128 for a page, which draws every unit, got 129",
    ),
    ("explore --n-train 9501", "n_train + n_val must be at most 10,000 for a page, which carries"),
    ("explore --epochs 100000000000", MEMORY),
    ("explore --out ''", "it must name a file or folder, got ''"),
    ("explore --out .", ". must be a file that can be written, got a folder: move it away"),
    ("explore --out /dev/null/page.html", "/dev/null must be a folder that can be written"),
    ("train numpy_manual --hidden 100000000000", MEMORY),
    ("train numpy_manual --epochs 10000000000", MEMORY),
    ("train numpy_manual --n-val 1000000000000", MEMORY),
    ("train numpy_manual --out ' '", "it must name a file or folder, got ' '"),
    ("train numpy_manual --checkpoint /proc/x", "/proc/x must be a file that can be written"),
    ("train numpy_manual --checkpoint ''", "it must name a file or folder, got ''"),
    ("train numpy_manual --resume ''", "it must name a file or folder, got ''"),
    (
        "train numpy_manual --resume /dev/null",
        "/dev/null must be a file that can be read, got a folder, a device",
    ),
    (
        "train numpy_manual --resume .",
        ". must be a file that can be read, got a folder, a device or a pipe",
    ),
    ("sweep --seeds 1000000000000", "a sweep must be of at most 100,000,000 trainings"),
    ("sweep --hidden 1000000000000 --seeds 1", MEMORY),
    ("sweep --epochs 1000000000000 --seeds 1", MEMORY),
    ("sweep --epochs 100000000 --seeds 1", "units × samples × epochs, a minute's work"),
    ("sweep --epochs 10000000 --seeds 10000000", "units × samples × epochs, a year's work"),
    ("sweep --out ''", "it must name a file or folder, got ''"),
    ("sweep --from ''", "it must name a file or folder, got ''"),
    ("notebooks ''", "it must name a file or folder, got ''"),
    ("sweep --from . --seeds 9 --n-train 4", "leave out --seeds, --n-train"),
    ("check nothing.py --points 1000000000", "FILE must be a Python file that exists, got 'noth"),
    ("check ''", "FILE must be a Python file that exists, got ''"),
    (f"check {'a' * 300}.py", "FILE must be a Python file that exists, got 'aaaa"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("line", "says"), COMMANDS, ids=[line for line, _ in COMMANDS])
def test_a_command_refuses_it_in_one_line(line: str, says: str, tmp_path: Path) -> None:
    import shlex

    done = handgrad(*shlex.split(line), cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert says in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not any(tmp_path.rglob("*.json"))


ONE = {"w": np.ones(2)}


def square(p: Any) -> Any:
    return (p["w"] ** 2).sum()


def double(p: Any) -> Any:
    return {"w": 2 * p["w"]}


def check_with(**options: Any) -> Any:
    return gradcheck(square, ONE, double, **options)


def check_of(loss: Any = square, params: Any = ONE, grads: Any = double) -> Any:
    return gradcheck(loss, params, grads)


def module_with(**options: Any) -> Any:
    torch = pytest.importorskip("torch")
    module = options.pop("module", torch.nn.Linear(2, 1).double())
    return gradcheck_module(module, torch.ones(3, 2).double(), **options)


def of_a_class(module: str) -> Any:
    torch = pytest.importorskip("torch")
    return module_with(module=type(module, (torch.autograd.Function,), {}))


def problem_with(**changed: Any) -> Any:
    return replace(make_problem(TINY), **changed)


def train_with(**options: Any) -> Any:
    return train(**{"problem": make_problem(TINY)} | options)


def verify_with(**options: Any) -> Any:
    given: dict[str, Any] = {"problem": make_problem(TINY), "stages": ["numpy_manual"]}
    return verify(**given | options)


def agree(**given: Any) -> Any:
    run = train(make_problem(TINY), record=True)
    return agreement(**{"run": run, "reference": run} | given)


def sweep_with(**options: Any) -> Any:
    return run_sweep(**{"grid": Grid(seeds=1, epochs=1)} | options)


class Rude:
    """Its repr raises, as those of numbers with thousands of digits do."""

    def __repr__(self) -> str:
        raise RuntimeError


class Tall:
    def __repr__(self) -> str:
        return "one\ntwo"


def prove_shapes(shapes: Any) -> Any:
    return exact.prove(square, double, shapes)


def prove_stage_at(h: Any) -> Any:
    return exact.prove_stage(numpy_manual, h, 2)


def prove_sgd_of(engine: Any) -> Any:
    return exact.prove_sgd(engine, 2, 2)


TINY = Config(epochs=1, n_train=8, n_val=4, batch_size=4, hidden=2)
NUL = "a\0b"
LONG = "a" * 300


def whole(least: int) -> str:
    return f"must be a whole number of at least {least}, got"


ENGINE = "an engine must have name, to_native"
NAMES = "must name a file or folder, got"
TABLE: list[tuple[Any, str, list[Any], str]] = [
    # function, argument, values, what is said of each
    (check_with, "points", [1.5, 0, True, "3", None, np.float64(2)], whole(1)),
    (check_with, "points", [10**9], "points must be at most 10,000, got 1,000,000,000"),
    (show, "state", [3, None, b"x"], "state must be a str, got"),
    (show, "hidden", [129], "hidden must be at most 128 for a page"),
    (show, "hidden", [0, 1.5, "x", None], whole(1)),
    (page, "verification", [None, 3, "x"], "verification must be a Verification, got"),
    (check_with, "seed", [-1, 1.5, "a", True, np.random.default_rng(0)], whole(0)),
    (check_with, "directions", [0, 1.5, "x", False], whole(1)),
    (check_with, "rtol", [-1, "a", np.nan, None, 1], "rtol must lie between 0 and 1, got"),
    (check_with, "resolve", [0, "x", np.inf, np.nan], "resolve must lie above 0, got"),
    (check_with, "delta", [0, 2, "x", None], "delta must lie between 0 and 1, got"),
    (check_with, "activations", [3], "activations must be a function, got 3"),
    (check_with, "structure", [3, "x"], "structure must be a Stack, got"),
    (check_with, "reference", [3, "x"], "reference must be a function, got"),
    (check_of, "loss", [None, 3, "x"], "loss must be a function, got"),
    (check_of, "loss", [lambda p: p["w"]], "loss must return one number, got shape (2,)"),
    (check_of, "loss", [lambda p: "x", lambda p: None], "loss must return one real number, got"),
    (check_of, "grads", [None, {}, lambda p: {}, lambda p: [1]], "must have the names of params"),
    (check_of, "grads", [lambda p: {"w": "x"}], "w must be an array of a float dtype, got"),
    (check_of, "params", [{"w": np.array([None, 1])}], "w must be of a float dtype, got object"),
    (check_of, "params", [{"w": np.array(["a"])}], "w must be of a float dtype, got <U1"),
    (check_of, "params", [{"w": np.array([1, 2])}], "w must be of a float dtype, got int64"),
    (check_of, "params", [{"w": np.ones(0)}], "w must not be empty, got shape (0,)"),
    (check_of, "params", [{"w": np.array([1, np.nan])}], "w must be finite, got nan"),
    (check_of, "params", [{}], "params must be a dict of name → float array, got {}"),
    (check_of, "params", [None, 3], "must be of a float dtype, got"),
    (of_a_class, "module", ["Square"], "module must be the function's apply: give Square.apply"),
    (
        module_with,
        "module",
        [lambda x: x.detach(), lambda x: 0 * x.detach()],
        "no gradient arrives",
    ),
    (module_with, "second", ["no", 1], "second must be True or False, got"),
    (module_with, "module", [None, 3], "module must be a function, got"),
    (module_with, "points", [1.5, 0], whole(1)),
    (module_with, "seed", [-1, "a"], whole(0)),
    (module_with, "rtol", [-1], "rtol must lie between 0 and 1, got -1"),
    (module_with, "reference", [3], "reference must be a function, got 3"),
    (module_with, "keywords", [3], "keywords must be a Mapping, got 3"),
    (module_with, "keywords", [{1: 2}], "each key of keywords must be a str, got 1"),
    (Config, "seed", [1.5, None, "a", -1], whole(0)),
    (Config, "hidden", [0, 2.0, None, "8", True, -(10**6000), Rude()], whole(1)),
    (Config, "hidden", [Tall()], "at least 1, got one two"),
    (Config, "epochs", [-1, True, 1.5], whole(0)),
    (
        Config,
        "lr",
        [0, "a", None, np.nan, 1j, -1, np.inf, 10**6000],
        "lr must be a finite number above 0",
    ),
    (Config, "batch_size", [0, None], whole(1)),
    (Config, "batch_size", [501], "batch_size must not exceed n_train, got 501 > 500"),
    (Config, "n_train", [0, 1.5], whole(1)),
    (Config, "n_val", [-3, "x"], whole(1)),
    (Config, "init", [None, 3, "normal", "normal:x", "normal:-1"], "init must be he or normal:SD"),
    (Config, "init", [b"he", np.array(["he", "he"])], "init must be he or normal:SD"),
    (Config, "dtype", [None, "float16", np.float32], "dtype must be float64 or float32, got"),
    (Config, "dtype", [np.array(["float64", "float64"])], "dtype must be float64 or float32"),
    (Config, "data_seed", [-1, "x"], whole(0)),
    (Config, "order_seed", [1.5], whole(0)),
    (Config.from_dict, "fields", [None, [1], "x"], "a configuration must be a dict of its fields"),
    (Config.from_dict, "fields", [{"a": 1}, {1: 1, "a": 2}], "a configuration has no field"),
    (make_problem, "config", [3, "x"], "config must be a Config, got"),
    (make_problem, "config", [Config(hidden=10**20), Config(hidden=10**6000)], MEMORY),
    (problem_with, "config", [None], "config must be a Config, got None"),
    (problem_with, "x_train", [None, 3], "x_train must have shape (8, 2), got ()"),
    (problem_with, "params", [None, "abcd"], "params must be W1, b1, W2, b2, got"),
    (train_with, "problem", [None, 3], "problem must be a Problem, got"),
    (train_with, "problem", [make_problem(Config(epochs=10**20))], MEMORY),
    (train_with, "problem", [make_problem(Config(0, 10**5, 0, 0.1, 10**6, 10**6))], MEMORY),
    (train_with, "stage", [None, 3], ENGINE),
    (train_with, "stage", ["x"], "stage must be one of numpy_manual"),
    (train_with, "checkpoint", [NUL, 3, "", " ", LONG], f"checkpoint {NAMES}"),
    (train_with, "checkpoint", ["/"], "/ exists, and may hold another training"),
    (train_with, "checkpoint", ["/nope/x"], "must be a file that can be written, got"),
    (train_with, "resume", [NUL, 3, "", LONG], f"resume {NAMES}"),
    (train_with, "resume", ["/nope"], "/nope must be a file that can be read, got"),
    (train_with, "every", [0, 1.5, None], whole(1)),
    (train_with, "record", ["no", 1, None], "record must be True or False, got"),
    (train_with, "on_epoch", [3], "on_epoch must be a function, got 3"),
    (verify_with, "problem", [None], "problem must be a Problem, got None"),
    (verify_with, "stages", [[]], "stages must name at least one"),
    (verify_with, "stages", [3, [None]], ENGINE),
    (verify_with, "stages", ["x", ["x"]], "stage must be one of numpy_manual"),
    (verify_with, "patterns", [0, 1.5, "x"], whole(1)),
    (verify_with, "on_epoch", [3], "on_epoch must be a function, got 3"),
    (agree, "run", [None], "run must be a Run, got None"),
    (agree, "run", [train(make_problem(TINY))], "both runs must be recorded"),
    (agree, "run", [train(make_problem(Config(epochs=1)))], "both runs must be of one problem"),
    (agree, "reference", [3], "reference must be a Run, got 3"),
    (agree, "bound", ["x", np.nan, -1, True], "bound must be a number of at least 0, got"),
    (Grid, "seeds", [0, 1.5, "x"], whole(1)),
    (Grid, "hidden", [()], "hidden must hold at least one value, got none"),
    (Grid, "hidden", ["x", (0,), (1.5,), None], whole(1)),
    (Grid, "hidden", [(2, 2)], "no combination must be there twice, but h = 2"),
    (Grid, "hidden", [(10**9,)], MEMORY),
    (Grid, "lr", [(0,), "x", None], "lr must be a finite number above 0, got"),
    (Grid, "init", [("x",), None], "init must be he or normal:SD"),
    (Grid, "vary", [("luck",), None, 3], "vary must be all, each, or some of data, init, order"),
    (Grid, "seed", [-1], whole(0)),
    (Grid, "seed", [2**64], "seed must be below 2⁶⁴, got"),
    (Grid, "epochs", [-1, 1.5], whole(0)),
    (Grid, "n_val", [None, 0], whole(1)),
    (Grid, "dtype", ["x"], "dtype must be float64 or float32, got 'x'"),
    (Grid, "every", [-1, 1.5], whole(0)),
    (Grid.from_dict, "found", [None, []], "a grid must be a dict, got"),
    (Grid.from_dict, "found", [{}, {"a": 1}], "a grid must have the fields that Grid has"),
    (sweep_with, "grid", [None], "grid must be a Grid, got None"),
    (sweep_with, "out", [NUL, 3, ""], f"out {NAMES}"),
    (sweep_with, "out", [__file__], "must be a folder that can be written, got"),
    (sweep_with, "resume", ["no"], "resume must be True or False, got 'no'"),
    (sweep_with, "address", [3], "address must be a str, got 3"),
    (sweep_with, "on_progress", [3], "on_progress must be a function, got 3"),
    (prove_shapes, "shapes", [None, 3], "shapes must be a Mapping, got"),
    (prove_shapes, "shapes", [{"w": 3}], "the shape of w must be a Sequence, got 3"),
    (prove_shapes, "shapes", [{"w": (1.5,)}, {"w": "ab"}], whole(0)),
    (prove_stage_at, "h", [0, 1.5], whole(1)),
    (prove_sgd_of, "engine", [3], "the engine's forward must be a function, got None"),
    (copy_notebooks, "folder", [NUL, 3, ""], f"folder {NAMES}"),
    (copy_notebooks, "folder", [Path(__file__)], "must be a folder that can be written, got"),
    (load_checkpoint, "path", [NUL, 3], f"a checkpoint {NAMES}"),
    (load_checkpoint, "path", [Path(__file__)], "must be a whole safetensors file"),
]


@pytest.mark.parametrize(
    ("function", "argument", "values", "says"),
    TABLE,
    ids=[f"{function.__name__} {argument}" for function, argument, _, _ in TABLE],
)
def test_a_function_refuses_it_in_one_sentence(
    function: Any, argument: str, values: list[Any], says: str
) -> None:
    for value in values:
        with pytest.raises(BadInput) as refused:
            function(**{argument: value})
        assert says in str(refused.value), value
        assert "\n" not in str(refused.value)


def test_the_table_is_long() -> None:
    assert len(COMMANDS) + sum(len(values) for _, _, values, _ in TABLE) >= 150


def test_whole_numbers_of_numpys_are_whole_numbers() -> None:
    two: Any = np.int64(2)
    config = Config(two, two, two, 0.1, two, two, two, data_seed=two)
    assert config == Config(2, 2, 2, 0.1, 2, 2, 2, data_seed=2)
    assert config.short_hash() == Config(2, 2, 2, 0.1, 2, 2, 2, data_seed=2).short_hash()
    train(make_problem(config), every=two)
    assert check_with(points=two, seed=two, directions=two)
    grid = Grid(two, (two,), epochs=two, batch_size=two, n_train=two, n_val=two, every=two)
    assert json.loads(json.dumps(grid.as_dict()))["epochs"] == 2
    assert verify_with(patterns=two).ok
    assert exact.prove(square, double, {"w": (2,)}, draws=two, seed=two)


@pytest.mark.slow
@pytest.mark.parametrize(
    "line",
    [
        ["verify", *SMALL, "--out", "here"],
        ["sweep", "--seeds", "2", "--epochs", "1", "--out", "here"],
        ["sweep", "--seeds", "2", "--epochs", "1", "--out", "here", "--resume"],
        ["train", "numpy_manual", *SMALL, "--out", "here"],
        ["train", "numpy_manual", *SMALL, "--checkpoint", "here"],
    ],
    ids=["verify", "sweep", "sweep --resume", "train --out", "train --checkpoint"],
)
def test_one_writes_at_a_time(line: list[str], tmp_path: Path) -> None:
    if "--checkpoint" not in line:
        (tmp_path / "here").mkdir()
    with alone(tmp_path / "here"):
        done = handgrad(*line, cwd=tmp_path)
    assert done.returncode == 2
    assert "here must be written by one process at a time, and another handgrad" in done.stderr
    done = handgrad(*line, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert not [*tmp_path.rglob("*.lock")]


@pytest.mark.slow
def test_damaged_files_are_named(tmp_path: Path) -> None:
    import os

    import torch
    from safetensors.torch import save_file

    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "sweep.json").write_text("[" * 200_000)
    metadata = {"format": "handgrad checkpoint 1", "config": "{}", "epoch": "0"}
    tensors = {"W1": torch.zeros(2, 2, dtype=torch.bfloat16), "history": torch.zeros(1, 10)}
    save_file(tensors, tmp_path / "narrow", metadata)
    for line, says in (
        (
            "train numpy_manual --resume pipe",
            "pipe must be a file that can be read, got a folder, a device or a",
        ),
        ("train numpy_manual --resume narrow", "narrow must"),
        ("sweep --from deep", "deep must hold a sweep (a readable sweep.json), and does not"),
    ):
        done = handgrad(*line.split(), cwd=tmp_path)
        assert done.returncode == 2, done.stderr
        assert says in done.stderr
        assert len(done.stderr.splitlines()) == 1


@pytest.mark.slow
def test_nobody_elses_file_is_removed(tmp_path: Path) -> None:
    for name in ("uv.lock", "uv.part"):
        (tmp_path / name).write_text("precious")
    (tmp_path / "here").mkdir()
    for name in ("handgrad.lock", "results.json.part"):
        (tmp_path / "here" / name).write_text("precious")
    line = ["train", "numpy_manual", *SMALL, "--checkpoint", "uv", "--out", "here"]
    assert handgrad(*line, cwd=tmp_path).returncode == 0
    for name in ("uv.lock", "uv.part", "here/handgrad.lock", "here/results.json.part"):
        assert (tmp_path / name).read_text() == "precious"
    assert not list(tmp_path.rglob("*handgrad-*"))


def test_a_link_to_itself_is_told(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    done = handgrad("train", "numpy_manual", *SMALL, "--checkpoint", "loop", cwd=tmp_path)
    assert done.returncode == 2
    assert "loop must be a file that can be written, got" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.slow
def test_numbers_beyond_the_dtype_decide_nothing(tmp_path: Path) -> None:
    done = handgrad("verify", *SMALL, "--init", "normal:1e160", cwd=tmp_path)
    assert done.returncode == 3, done.stdout
    assert "Undecided" in done.stdout
    assert "Not equal" not in done.stdout


def test_an_engine_cannot_have_the_name_that_stands_for_all() -> None:
    engine: Any = copy_of("numpy_manual")
    engine.name = "all"
    with pytest.raises(BadInput, match="an engine must not have the name 'all': rename it"):
        verify_with(stages=[engine])


TORCH = "import torch\nmodule = torch.nn.Linear(2, 1).double()\n"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "says"),
    [
        (f"{TORCH}inputs = torch.ones(3, 5).double()", "RuntimeError: mat1 and mat2 shapes"),
        (f"{TORCH}inputs = None", "must run as handgrad calls it, but TypeError"),
        (
            "params = {'w': 1.0}\ngrads = params\ndef loss(): return 1.0",
            "TypeError: loss() takes 0",
        ),
    ],
)
def test_what_a_file_gets_wrong_is_one_line(text: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(text)
    done = handgrad("check", "mine.py", cwd=tmp_path)
    assert done.returncode == 2
    assert says in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_an_object_has_what_its_class_has(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "import numpy as np\n"
        "class Square:\n"
        "    params = {'w': np.ones(3)}\n"
        "    def loss(self, p): return (p['w'] ** 2).sum()\n"
        "    def grads(self, p): return {'w': 2 * p['w']}\n"
        "square = Square()\n"
    )
    done = handgrad("check", "mine.py:square", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.slow
def test_a_backend_that_is_not_there_and_a_pipe_that_closes(tmp_path: Path) -> None:
    code = (
        "import os, sys; os.environ |= {'MPLBACKEND': 'nosuch', 'COLUMNS': '0'};"
        "sys.argv = ['handgrad', 'train', 'numpy_manual', '--epochs', '1', '--out', 'here'];"
        "from handgrad.__main__ import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True
    )
    assert (done.returncode, "1 epochs" in done.stdout) == (0, True), done.stderr
    assert (tmp_path / "here" / "figure.png").exists()
    shell = f"{sys.executable} -u -m handgrad --help | true; echo ${{PIPESTATUS[0]}}"
    piped = subprocess.run(["bash", "-c", shell], capture_output=True, text=True)
    assert piped.stdout == "141\n"


@pytest.mark.slow
def test_the_environment_is_told_too(tmp_path: Path) -> None:
    """A folder where a file is to be written; numba's settings; a struct.py beside the file."""
    (tmp_path / "here" / "history.csv").mkdir(parents=True)
    for command in (["verify", *SMALL], ["train", "numpy_manual", "--epochs", "1000000"]):
        done = handgrad(*command, "--out", "here", cwd=tmp_path)
        assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
        assert "history.csv must be a file that can be written, got a folder" in done.stderr
    done = handgrad("sweep", "--seeds", "1", cwd=tmp_path, env={"NUMBA_NUM_THREADS": "0"})
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert "numba must be able to start, got: Number of threads" in done.stderr
    (tmp_path / "struct.py").write_text("raise SystemExit(5)")
    text = "import numpy as np\nparams = {'w': np.ones(3)}\n"
    text += "def loss(p): return (p['w'] ** 2).sum()\ndef grads(p): return {'w': 2 * p['w']}\n"
    (tmp_path / "mine.py").write_text(text)
    installed = Path(sys.executable).with_name("handgrad")  # python -m looks at the folder first
    for closed in ("", "exec <&- >&- 2>&-;"):
        check = ["bash", "-c", f"{closed} {installed} check mine.py"]
        assert subprocess.run(check, cwd=tmp_path).returncode == 0


@pytest.mark.parametrize("name", ["forward", "loss", "backward", "sgd"])
def test_an_engine_that_exits_is_a_failure_of_that_engine(name: str) -> None:
    def leave(*_: Any) -> Any:
        raise SystemExit(0)

    engine: Any = copy_of("numpy_manual")
    engine.name = "quitter"
    setattr(engine, name, leave)
    found = verify_with(stages=[engine])
    assert found.verdict == "not equal"
    assert {c.stage for c in found.failures} == {"quitter"}
