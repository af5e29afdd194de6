"""`handgrad check`: the examples, its exit codes, and whose exception it was."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from test_cli import handgrad

EXAMPLES = Path(__file__).parent.parent / "examples"


@pytest.mark.parametrize(
    ("target", "code", "says"),
    [
        ("numpy_backward.py", 0, "proved exactly at 3 points"),
        ("numpy_backward.py:wrong", 1, "it must be multiplied by 20"),
        ("softmax_cross_entropy.py", 0, "proved with 77 digits at 3 points"),
        ("softmax_cross_entropy.py:wrong", 1, "it must be divided by 6"),
        ("softmax_cross_entropy.py:nearly", 1, "the error is 2.6e-12 of the gradient's norm"),
        ("layer_norm.py", 0, "proved with 77 digits at 3 points"),
        ("layer_norm.py:wrong", 1, "x            fail"),
        ("layers.py:affine", 0, "proved exactly at 3 points"),
        ("layers.py:lstm", 0, "Wx           pass"),
        ("layers.py:batchnorm", 0, "gamma        pass"),
        ("layers.py:linear", 0, "a second backward pass adds to the gradients of W, b"),
        ("layers.py:in_dicts", 0, "params.W     pass"),
        ("layers.py:wrong", 1, "it must be multiplied by 6"),
        pytest.param("rules.py", 0, "vmap gives what a loop gives", marks=pytest.mark.slow),
        pytest.param(
            "rules.py:constant", 1, "second input 0              fail", marks=pytest.mark.slow
        ),
        pytest.param("rules.py:tangent", 1, "jvp input 0  fail", marks=pytest.mark.slow),
        pytest.param(
            "rules.py:batched",
            1,
            "vmap over the last axis: not what a loop gives",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "jax_function.py",
            0,
            "the reference is the loss itself in float64",
            marks=pytest.mark.slow,
        ),
        pytest.param("jax_function.py:wrong", 1, "input 0      fail", marks=pytest.mark.slow),
        pytest.param(
            "in_a_set.py",
            0,
            "compared along directions that stay in the set",
            marks=pytest.mark.slow,
        ),
        ("in_a_set.py:shifted", 0, "off by one constant (1 to be added) from the gradient"),
        pytest.param("in_a_set.py:wrong", 1, "it must be divided by 2", marks=pytest.mark.slow),
        ("torch_module.py", 0, "0.weight     pass"),
        ("torch_function.py", 0, "input 0      pass"),
        ("float32_kernel.py", 0, "the loss     pass"),
    ],
)
def test_the_examples(target: str, code: int, says: str, tmp_path: Path) -> None:
    done = handgrad("check", EXAMPLES / target, cwd=tmp_path)
    assert done.returncode == code, done.stderr
    assert says in done.stdout


@pytest.mark.slow
def test_the_example_of_a_suite(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pytest", str(EXAMPLES / "test_gradients.py")]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert "3 passed" in done.stdout


def test_every_example_has_its_line() -> None:
    page = (EXAMPLES.parent / "docs" / "how_to_check.md").read_text()
    assert all(f"examples/{file.name}" in page for file in EXAMPLES.glob("*.py"))


def test_json(tmp_path: Path) -> None:
    done = handgrad("check", EXAMPLES / "numpy_backward.py:wrong", "--json", cwd=tmp_path)
    found = json.loads(done.stdout)
    assert done.returncode == 1
    assert found["verdict"] == "fail"
    assert found["parameters"]["b1"]["cause"].startswith("it must be multiplied by 20 (as if")
    assert found["parameters"]["W1"]["verdict"] == "pass"


def test_the_seed_repeats_a_report(tmp_path: Path) -> None:
    arguments = ("check", EXAMPLES / "numpy_backward.py", "--seed", "7", "--points", "1")
    one, other = (handgrad(*arguments, cwd=tmp_path).stdout for _ in range(2))
    assert one == other
    assert "seed 7" in one


def test_nothing_can_be_said_exits_with_3(tmp_path: Path) -> None:
    (tmp_path / "noisy.py").write_text(
        "import random, numpy as np\n"
        "params = {'w': np.ones(2)}\n"
        "def loss(p):\n    return p['w'].sum() + random.Random(p['w'].tobytes()).random()\n"
        "def grads(p):\n    return {'w': np.ones(2)}\n"
    )
    done = handgrad("check", "noisy.py", cwd=tmp_path)
    assert done.returncode == 3
    assert "inconclusive" in done.stdout


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (None, "FILE must be a Python file that exists, got 'user.py'"),
        ("x = 1", "user.py must define params, loss and grads"),
        ("import numpy as np\nparams = {}\nloss = grads = print", "params must be a dict"),
    ],
)
def test_bad_input_is_one_line(text: str | None, says: str, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / "user.py").write_text(text)
    done = handgrad("check", "user.py", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert says in done.stderr


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("1 / 0", "1 / 0"),
        ("def broken(:", "def broken(:"),
        (
            "import numpy as np\nparams = {'w': np.ones(2)}\n"
            "def loss(p):\n    return p['v'].sum()\ndef grads(p):\n    return p\n",
            "return p['v'].sum()",
        ),
    ],
)
def test_an_exception_in_the_users_file_is_shown_as_theirs(
    text: str, line: str, tmp_path: Path
) -> None:
    (tmp_path / "user.py").write_text(text)
    done = handgrad("check", "user.py", cwd=tmp_path)
    assert done.returncode == 2
    assert line in done.stderr
    assert "check.py" not in done.stderr
    assert done.stderr.splitlines()[-1] == (
        "handgrad: this exception comes from user.py, not from handgrad"
    )


def test_a_known_error_can_be_allowed(tmp_path: Path) -> None:
    target = EXAMPLES / "numpy_backward.py:wrong"
    assert handgrad("check", target, "--rtol", "0.99", cwd=tmp_path).returncode == 0
    done = handgrad("check", target, "--resolve", "0", cwd=tmp_path)
    assert done.returncode == 2
    assert "resolve must lie above 0, got 0" in done.stderr


def test_list_names_what_can_be_checked(tmp_path: Path) -> None:
    file = EXAMPLES / "layers.py"
    done = handgrad("check", file, "--list", cwd=tmp_path)
    names = ["affine", "wrong", "lstm", "batchnorm", "linear", "in_dicts"]
    assert done.stdout.splitlines() == [f"{file}:{name}" for name in names]
    done = handgrad("check", EXAMPLES / "numpy_backward.py", "--list", cwd=tmp_path)
    assert done.stdout.splitlines()[0] == str(EXAMPLES / "numpy_backward.py")
    (tmp_path / "user.py").write_text("print('noise')\nx = 1")
    done = handgrad("check", "user.py", "--list", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "user.py must define params, loss and grads" in done.stderr
    (tmp_path / "user.py").write_text("1 / 0")
    done = handgrad("check", "user.py", "--list", cwd=tmp_path)
    assert done.returncode == 2
    assert "ZeroDivisionError" in done.stderr


@pytest.mark.slow
def test_watch_checks_again_at_each_save(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text((EXAMPLES / "numpy_backward.py").read_text())
    command = [sys.executable, "-m", "handgrad", "check", "mine.py", "--watch"]
    started = subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert started.stdout is not None
    assert started.stderr is not None
    line = started.stdout.readline()
    assert line.startswith("gradient check: pass")
    assert "Watching mine.py, which is run at each save" in started.stderr.readline()
    time.sleep(1)
    file.write_text(file.read_text().replace("df.sum(axis=0)", "2 * df.sum(axis=0)"))
    while not line.startswith("gradient check: fail"):
        line = started.stdout.readline()
        assert line
    file.write_text("x = 1")
    assert "mine.py must define params, loss and grads" in started.stderr.readline()
    started.send_signal(signal.SIGINT)
    _, said = started.communicate(timeout=60)
    assert started.returncode == 130
    assert "interrupted; no longer watching" in said
