"""The pytest plugin: seeds that repeat, options of a test, and what a failing check shows."""

import re
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from handgrad import assert_gradients, gradcheck
from handgrad.errors import BadInput

SUITE = """
import numpy as np
import pytest
from handgrad import assert_gradients, gradcheck

X = np.ones(3) / 3

def square(x):
    return x**2, x

def test_right():
    assert_gradients(square, lambda dout, x: 2 * x * dout, X)
    found = gradcheck(lambda p: (p["w"] ** 2).sum(), {"w": X}, lambda p: {"w": 2 * p["w"]})
    print("seed", found.seed)

def test_wrong():
    assert_gradients(square, lambda dout, x: 3 * x * dout, X)

@pytest.mark.gradcheck(rtol=0.6)
class TestAllowed:
    def test_off_by_half(self):
        assert_gradients(square, lambda dout, x: 3 * x * dout, X)

    @pytest.mark.gradcheck(rtol=0.0)
    def test_the_closest_mark_counts(self):
        with pytest.raises(AssertionError):
            assert_gradients(square, lambda dout, x: 3 * x * dout, X)

    def test_what_is_given_counts_most(self):
        with pytest.raises(AssertionError):
            assert_gradients(square, lambda dout, x: 3 * x * dout, X, rtol=0.0)
"""


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    (folder / "test_suite.py").write_text(SUITE)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-rP", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_a_suite_gives_the_same_answer_twice(tmp_path: Path) -> None:
    first, second = (run(tmp_path) for _ in range(2))
    assert "1 failed, 4 passed" in first.stdout
    seeds = [re.findall(r"seeds? (\d+)", done.stdout) for done in (first, second)]
    assert seeds[0] == seeds[1]
    assert len(set(seeds[0])) >= 2  # another one for each check
    afresh = [
        re.findall(r"seed (\d+)", run(tmp_path, "--gradcheck-seed=random").stdout)[0]
        for _ in range(2)
    ]
    assert afresh[0] != afresh[1]


@pytest.mark.slow
def test_a_failing_check_shows_its_report_its_seed_and_not_our_frames(tmp_path: Path) -> None:
    done = run(tmp_path)
    assert "gradient check: fail at 3 points" in done.stdout
    assert re.search(r"x +fail .*; it must be (multiplied|divided) by", done.stdout)
    (seed,) = re.findall(r"to repeat the last: --gradcheck-seed=(\d+)", done.stdout)
    assert "asserting.py" not in done.stdout
    assert f"seeds {seed}; to repeat" in done.stdout  # one check, one seed
    again = run(tmp_path, f"--gradcheck-seed={seed}", "-k", "wrong")
    assert f"seed {seed};" in again.stdout


@pytest.mark.slow
def test_a_seed_that_is_none_is_refused_in_one_line(tmp_path: Path) -> None:
    done = run(tmp_path, "--gradcheck-seed=x")
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "--gradcheck-seed must be a whole number or random, got 'x'" in done.stderr


def test_the_plugin_imports_nothing() -> None:
    code = (
        "import sys, handgrad.pytest_plugin\n"
        "print([n for n in ('numpy', 'torch', 'handgrad.checker') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_seed_is_of_this_test_and_this_check(request: pytest.FixtureRequest) -> None:
    if request.config.getoption("--gradcheck-seed") is not None:
        pytest.skip("a seed was given on the command line")
    w = {"w": np.ones(2)}
    one, two = (
        gradcheck(lambda p: (p["w"] ** 2).sum(), w, lambda p: {"w": 2 * p["w"]}).seed
        for _ in range(2)
    )
    assert one != two
    wanted = int.from_bytes(sha256(f"{request.node.nodeid} 0".encode()).digest()[:4], "big")
    assert one == wanted


def test_assert_gradients_takes_every_form() -> None:
    torch = pytest.importorskip("torch")
    x, w = np.ones(3) / 3, {"w": np.ones(2)}

    class Square:
        def forward(self, x: np.ndarray) -> np.ndarray:
            self.x = x
            return x**2

        def backward(self, dout: np.ndarray) -> np.ndarray:
            return 2 * self.x * dout

    assert_gradients(lambda p: (p["w"] ** 2).sum(), w, lambda p: {"w": 2 * p["w"]})
    assert_gradients(lambda p: (p["w"] ** 2).sum(), w, {"w": 2 * w["w"]})
    assert_gradients(
        loss=lambda p: (p["w"] ** 2).sum(), params=w, grads=lambda p: {"w": 2 * p["w"]}
    )
    assert_gradients(lambda x: (x**2, x), lambda dout, x: 2 * x * dout, x)
    assert_gradients(Square(), inputs=x)
    assert_gradients(torch.nn.Linear(2, 1).double(), torch.ones(3, 2).double())
    assert_gradients(torch.sin, inputs=torch.ones(3).double(), second=True)
    with pytest.raises(BadInput, match="it must be given loss, params and grads; forward"):
        assert_gradients(torch.sin)
    with pytest.raises(AssertionError, match="gradient check: fail"):
        assert_gradients(lambda x: (x**2, x), lambda dout, x: x * dout, x)
