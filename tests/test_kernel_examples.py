"""The examples that compile, or that bring another library: right ones pass, wrong ones fail."""

import runpy
import shutil
from collections.abc import Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from browser import missing
from test_cli import handgrad

from handgrad import gradcheck, gradcheck_layer
from handgrad.checker import Report

EXAMPLES = Path(__file__).parent.parent / "examples"
NEEDS = {
    "numba_kernel": "numba",
    "c_function": "cc",
    "hips_autograd": "autograd",
    "tinygrad_tensors": "tinygrad",
}
CHECKED = {
    "numba_kernel": {"x": "pass", "gamma": "pass", "beta": "pass"},
    "c_function": {"x": "pass", "gain": "pass"},
    "hips_autograd": {"W": "pass", "v": "pass"},
    "tinygrad_tensors": {"gate": "pass", "value": "pass"},
}
WRONG = {
    "numba_kernel": "x",
    "c_function": "gain",
    "hips_autograd": "W",
    "tinygrad_tensors": "gate",
}


def require(example: str) -> None:
    """Skip where what the example needs is missing; without a C compiler, fail under `.ci/run`."""
    need = NEEDS[example]
    if need == "cc":
        if shutil.which("cc") is None:
            missing("a C compiler (cc)")
    elif find_spec(need) is None:  # not imported yet: tinygrad reads its settings at its import
        pytest.skip(f"examples/{example}.py needs the package {need}")


@cache
def names_of(example: str) -> Mapping[str, Any]:
    """What the example defines. It is run once: Numba and cc take their time."""
    with pytest.MonkeyPatch.context() as patch:  # tinygrad's settings, which the example makes
        patch.setenv("DEV", "PYTHON")
        patch.setenv("PARALLEL", "0")
        return runpy.run_path(str(EXAMPLES / f"{example}.py"))


def check(example: str, name: str | None, seed: int) -> Report:
    found = names_of(example)
    found = found[name] if name else found
    if "forward" in found:
        return gradcheck_layer(found["forward"], found["backward"], found["inputs"], seed=seed)
    return gradcheck(found["loss"], found["params"], found["grads"], seed=seed)


def verdicts(report: Report) -> dict[str, str]:
    return {name: parameter.verdict for name, parameter in report.parameters.items()}


@pytest.mark.parametrize(
    "example",
    [
        pytest.param("numba_kernel", marks=pytest.mark.slow),
        "c_function",
        "hips_autograd",
        pytest.param("tinygrad_tensors", marks=pytest.mark.slow),
    ],
)
def test_right_ones_pass(example: str) -> None:
    require(example)
    for seed in range(5):
        report = check(example, None, seed)
        assert verdicts(report) == CHECKED[example], report


@pytest.mark.parametrize(
    ("example", "seeds"),
    [
        pytest.param("numba_kernel", 5, marks=pytest.mark.slow),
        ("c_function", 5),
        ("hips_autograd", 5),
        pytest.param("tinygrad_tensors", 2, marks=pytest.mark.slow),  # 2 s each
    ],
)
def test_wrong_ones_fail_where_they_are_wrong(example: str, seeds: int) -> None:
    require(example)
    for seed in range(seeds):
        report = check(example, "wrong", seed)
        assert verdicts(report) == CHECKED[example] | {WRONG[example]: "fail"}, report


@pytest.mark.slow
def test_a_float32_kernel_is_held_to_itself_in_float64() -> None:
    require("numba_kernel")
    for seed in range(5):
        report = check("numba_kernel", "float32", seed)
        assert verdicts(report) == CHECKED["numba_kernel"], report
        assert "the reference is the loss itself in float64" in report.notes


@pytest.mark.slow
@pytest.mark.parametrize("example", NEEDS)
def test_the_command(example: str, tmp_path: Path) -> None:
    require(example)
    done = handgrad("check", EXAMPLES / f"{example}.py", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for name in CHECKED[example]:
        assert f"\n{name:12} pass " in done.stdout


def test_without_a_compiler_one_line_says_so(tmp_path: Path) -> None:
    done = handgrad("check", EXAMPLES / "c_function.py", cwd=tmp_path, env={"PATH": str(tmp_path)})
    assert done.returncode == 2
    assert "\nImportError: a C compiler must be there: cc was not found\n" in done.stderr
