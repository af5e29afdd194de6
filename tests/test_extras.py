"""Each package that only some of handgrad needs is taken away: the rest works, and what needs it
says what installs it.
"""

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from handgrad.extras import EXTRAS

ROOT = Path(__file__).parent.parent
ALL = [*EXTRAS, "flint"]

GRADCHECK = """
import numpy as np
from handgrad import gradcheck
p = {"w": np.array([1.0, -2.0])}
print(gradcheck(lambda p: (p["w"] ** 2).sum(), p, lambda p: {"w": 2 * p["w"]}).verdict)
"""
LAYER = """
import numpy as np
from handgrad.checker import gradcheck_layer
forward, backward = lambda x: (x**2, x), lambda dout, x: 2 * x * dout
print(gradcheck_layer(forward, backward, np.ones(3) / 3).verdict)
"""
TRAIN = """
from handgrad import Config, make_problem, train
print(train(make_problem(Config(epochs=2))).steps)
"""
VERIFY = """
from handgrad import Config, make_problem, verify
print(verify(make_problem(Config(epochs=2))).verdict)
"""
EXPLORE = """
import re
from handgrad.explore import show
text = show(epochs=1, n_train=40, n_val=4).page
print(re.findall(r'"stages":(.*?),"left_out":{"(.*?)"', text))
"""
SMALL = "--epochs 1 --n-train 40 --n-val 20"


def without(packages: list[str], code: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """The code, run by a Python that has none of the packages."""
    block = f"import sys\nfor name in {packages}:\n    sys.modules[name] = None\n"
    environment = os.environ | {"COLUMNS": "100", "NO_COLOR": "1"}
    return subprocess.run(
        [sys.executable, "-c", block + code],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )


def command(line: str) -> str:
    return f"sys.argv = ['handgrad', *{line.split()}]\nfrom handgrad.__main__ import main\nmain()\n"


@pytest.mark.parametrize(
    ("code", "prints"),
    [
        (GRADCHECK, "pass"),
        (LAYER, "pass"),
        (TRAIN, "32"),
        (VERIFY, "equal"),
        (EXPLORE, """[('["numpy_manual"]', 'pytorch_no_autograd')]"""),
    ],
)
def test_numpy_alone_is_enough(code: str, prints: str, tmp_path: Path) -> None:
    done = without(ALL, code, tmp_path)
    assert (done.stdout.strip(), done.stderr) == (prints, "")


@pytest.mark.parametrize(
    ("package", "code", "says"),
    [
        ("torch", "import handgrad; handgrad.gradcheck_module(None, None)", "gradcheck_module"),
        ("torch", f"{TRAIN}train(make_problem(), 'pytorch_autograd')", "pytorch_autograd"),
        ("numba", "from handgrad import run_sweep", "run_sweep"),
        ("polars", "from handgrad import run_sweep", "run_sweep"),
        ("safetensors", f"{TRAIN}train(make_problem(), checkpoint='kept')", "a checkpoint"),
        ("filelock", f"{TRAIN}train(make_problem(), checkpoint='kept')", "a lock on what is"),
    ],
)
def test_a_function_says_what_installs_it(
    package: str, code: str, says: str, tmp_path: Path
) -> None:
    done = without([package], code, tmp_path)
    last = done.stderr.splitlines()[-1]
    assert last.startswith(f"handgrad.extras.Missing: {says}")
    wanted = f"needs {package}, which is not installed: pip install 'handgrad[{EXTRAS[package]}]'"
    assert last.endswith(wanted)


@pytest.mark.parametrize(
    ("package", "line"),
    [
        ("typer", "verify"),
        ("rich", f"train numpy_manual {SMALL}"),
        ("torch", f"train pytorch_autograd {SMALL}"),
        ("filelock", f"explore {SMALL}"),
        ("filelock", f"verify {SMALL}"),
        ("safetensors", f"train numpy_manual {SMALL} --checkpoint kept"),
        ("numba", "sweep --seeds 2"),
        ("polars", "sweep --seeds 2"),
        ("distributed", "sweep --seeds 2 --backend dask --address tcp://127.0.0.1:1"),
    ],
)
def test_a_command_says_what_installs_it(package: str, line: str, tmp_path: Path) -> None:
    done = without([package], command(line), tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    (said,) = done.stderr.splitlines()
    wanted = f"needs {package}, which is not installed: pip install 'handgrad[{EXTRAS[package]}]'"
    assert said.startswith("handgrad: ")
    assert said.endswith(wanted)


def test_verify_without_torch_proves_stage_1_and_says_what_it_left_out(tmp_path: Path) -> None:
    done = without(["torch"], command(f"verify {SMALL} --out here"), tmp_path)
    assert done.returncode == 0, done.stderr
    for row in ("exact proof", "exact fractions", "central differences"):
        assert row in done.stdout
    others = "pytorch_no_autograd, pytorch_autograd, pytorch_nn_module"
    assert f"Left out: {others}; pytorch_no_autograd needs torch, which is not" in done.stdout
    assert "Stage 1 alone: Equal" not in done.stdout
    assert "Stage 1 alone: every bound holds." in done.stdout
    results = json.loads((tmp_path / "here" / "results.json").read_text())
    assert list(results["stages"]) == ["numpy_manual"]
    assert len(results["left_out"]) == 3


@pytest.mark.parametrize(
    "line", [f"verify {SMALL} --out here", "sweep --seeds 2 --epochs 1 --out here"]
)
def test_without_matplotlib_all_but_the_figures_is_written(line: str, tmp_path: Path) -> None:
    done = without(["matplotlib"], command(line), tmp_path)
    assert done.returncode == 0, done.stderr
    assert "drawing needs matplotlib" in " ".join(done.stdout.split())
    written = {file.name for file in (tmp_path / "here").iterdir()}
    assert written in ({"results.json", "history.csv"}, SWEPT)


@pytest.mark.parametrize(
    "line", [f"train numpy_manual {SMALL}", "notebooks here", "check mine.py", "--help"]
)
def test_nothing_that_draws_nothing_imports_matplotlib(line: str, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(GRADCHECK.replace("print", "str") + MINE)
    see = "import atexit\natexit.register(lambda: print('matplotlib' in sys.modules))\n"
    done = without([], see + command(line), tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "False"


SWEPT = {"sweep.json", "results.parquet", "results.sha256"}
MINE = """
params = p
def loss(p): return (p["w"] ** 2).sum()
def grads(p): return {"w": 2 * p["w"]}
"""


def test_the_extras_bring_what_they_are_named_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    assert [d.split(">")[0] for d in project["dependencies"]] == ["numpy"]
    for package, extra in EXTRAS.items():
        assert package in [d.split(">")[0] for d in extras[extra]], package
    whole = {"cli", "dask", "exact", "figures", "progress", "sweep", "torch"}
    assert extras["all"] == [f"handgrad[{','.join(sorted(whole))}]"]
    assert "handgrad[all,docs,jax,lessons]" in extras["dev"]
