"""The faults of `docs/in_the_wild.md`: each is blamed on its parameter, the right form passes."""

import re
import runpy
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from handgrad import gradcheck_layer, gradcheck_module
from handgrad.checker.report import FAIL, PASS, Report
from handgrad.checker.user_file import check_file

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "in_the_wild.md").read_text()
TARGET = "examples/in_the_wild.py"
FILE = ROOT / TARGET
EXAMPLES = runpy.run_path(str(FILE))
MODULES = runpy.run_path(str(FILE.with_name("in_the_wild_torch.py")))
SEEDS = range(3)
SOME_SLOW = [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in SEEDS[1:])]

BLAMED = {
    "mse": ("prediction", "it must be divided by 3"),
    "elu": ("x", None),
    "softmax": ("x", "only the diagonal of its Jacobian is used"),
    "upsample": ("x", "where several outputs use one entry, only the first one counts"),
    "rnn": ("x", None),
    "weighted_cross_entropy": ("logits", None),
}
FLOAT = re.compile(r"-?\d+(?:\.\d+)?(?:e[-+]\d+)?")
BLOCKS: list[tuple[str, str, str]] = re.findall(
    r"```text\n\$ handgrad check (\S+) --seed (\d+)\n(.*?)```", PAGE, re.DOTALL
)

in_torch_2_13 = pytest.mark.skipif(
    not torch.__version__.startswith("2.13."), reason="CrossMapLRN2d was measured in torch 2.13"
)


def layer(name: str, seed: int) -> Report:
    f = EXAMPLES[name]
    return gradcheck_layer(f["forward"], f["backward"], f["inputs"], seed=seed)


def module(name: str, seed: int) -> Report:
    found = MODULES[name]
    return gradcheck_module(found["module"], found["inputs"], seed=seed)


@cache
def checked(target: str, seed: str) -> Report:
    """What the command on the page does."""
    return check_file(str(ROOT / target), seed=int(seed))


def failed(report: Report) -> list[str]:
    return [name for name, found in report.parameters.items() if found.verdict == FAIL]


@pytest.mark.parametrize("seed", SOME_SLOW)
@pytest.mark.parametrize("name", BLAMED)
def test_the_wrong_form_is_blamed_on_its_parameter(name: str, seed: int) -> None:
    report = layer(f"{name}_wrong", seed)
    blamed, cause = BLAMED[name]
    assert failed(report) == [blamed]
    assert report[blamed].cause == cause
    assert all(found.verdict in (PASS, FAIL) for found in report.parameters.values())


@pytest.mark.parametrize("seed", SOME_SLOW)
@pytest.mark.parametrize("name", BLAMED)
def test_the_right_form_passes(name: str, seed: int) -> None:
    report = layer(name, seed)
    assert report, report


@in_torch_2_13
@pytest.mark.parametrize("seed", SOME_SLOW)
@pytest.mark.parametrize("name", ["lrn_alpha_1", "lrn_default"])
def test_crossmaplrn2d_is_wrong(name: str, seed: int) -> None:
    report = module(name, seed)
    assert failed(report) == ["input 0"]


@pytest.mark.parametrize("seed", SOME_SLOW)
@pytest.mark.parametrize("name", ["right_alpha_1", "right_default"])
def test_localresponsenorm_is_right(name: str, seed: int) -> None:
    report = module(name, seed)
    assert report, report


@in_torch_2_13
def test_crossmaplrn2d_reads_the_channels_that_the_page_says() -> None:
    """The forward also reads channel 0, and the backward is one channel too far on."""
    x = torch.randn(1, 6, 1, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    wrong, right = nn.CrossMapLRN2d(3, alpha=1.0), nn.LocalResponseNorm(3, alpha=1.0)

    def by_autograd(norm: nn.Module) -> list[set[int]]:
        slopes = torch.autograd.functional.jacobian(norm, x).reshape(6, 6)
        return [{j for j in range(6) if row[j]} for row in slopes]

    def by_moving(norm: nn.Module) -> list[set[int]]:
        before, read = norm(x), [set[int]() for _ in range(6)]
        for j in range(6):
            moved = x.clone()
            moved[0, j] += 1
            for c in range(6):
                if abs(norm(moved) - before)[0, c] > 1e-9:
                    read[c].add(j)
        return read

    def window(first: int, last: int) -> list[set[int]]:
        return [{j for j in range(c + first, c + last + 1) if 0 <= j < 6} for c in range(6)]

    assert by_moving(right) == by_autograd(right) == window(-1, 1)
    assert by_moving(wrong) == [read | {0} for read in window(-1, 1)]
    assert by_autograd(wrong) == window(0, 2)


def parts(text: str) -> list[str]:
    """Numbers and words."""
    return re.findall(rf"{FLOAT.pattern}|[^\s\d]+", text)


def same(one: str, other: str) -> bool:
    if FLOAT.fullmatch(one) and FLOAT.fullmatch(other):
        return float(one) == pytest.approx(float(other), rel=1e-3)  # other machines round otherwise
    return one == other


def occurs(quoted: str, said: str) -> bool:
    """Whether each piece between two … is in what was said, in this order."""
    left = parts(said)
    for piece in map(parts, quoted.split("…")):
        n = len(piece)
        starts = [k for k in range(len(left) - n + 1) if all(map(same, piece, left[k : k + n]))]
        if not starts:
            return False
        left = left[starts[0] + n :]
    return True


def test_occurs_can_say_no() -> None:
    said = "x fail [1, 2] is -0.25, should be 3; wrong: all entries; cause unknown"
    assert occurs("x fail [1, 2] is -0.25, … cause unknown", said)
    assert not occurs("x fail [1, 2] is 0.25, … cause unknown", said)
    assert not occurs("cause unknown … x fail", said)
    assert not occurs("it must be divided by 3", said)


@in_torch_2_13
@pytest.mark.parametrize(("target", "seed", "quoted"), BLOCKS, ids=[b[0] for b in BLOCKS])
def test_the_page_quotes_what_the_check_says(target: str, seed: str, quoted: str) -> None:
    report = checked(target, seed)
    assert occurs(quoted, str(report)), report


@in_torch_2_13
def test_the_table_is_what_the_check_says() -> None:
    rows = re.findall(r"^\| \[.*?\| `(.+?)` \| (.+?) \| ([\d.]+) \|$", PAGE, re.MULTILINE)
    wrong = [target for target, seed, _ in BLOCKS if seed == "0" and "right" not in target]
    assert len(rows) == len(wrong) == 8
    for (blamed, says, error), target in zip(rows, wrong, strict=True):
        report = checked(target, "0")
        assert failed(report) == [blamed]
        assert says.startswith(report[blamed].cause or "cause unknown")
        assert report[blamed].error == pytest.approx(float(error), rel=0.05)


def test_every_line_of_the_page_is_in_the_examples() -> None:
    lines = [line.strip() for line in FILE.read_text().splitlines()]
    blocks = re.findall(r"```diff\n(.*?)```", PAGE, re.DOTALL)
    quoted = [line[1:].strip() for block in blocks for line in block.splitlines()]
    assert len(quoted) == 2 * len(BLAMED)
    assert all(line in lines for line in quoted)


def test_the_entries_are_those_that_the_page_explains() -> None:
    x = EXAMPLES["elu"]["inputs"]
    found = checked(f"{TARGET}:elu_wrong", "0")
    assert found["x"].where == f"entries {np.argwhere(x < 0).tolist()}"
    steps = [[0, t, k] for t in range(2) for k in range(2)]  # not the last step
    assert EXAMPLES["rnn"]["inputs"][0].shape == (1, 3, 2)
    found = checked(f"{TARGET}:rnn_wrong", "0")
    assert found["x"].where == f"entries {steps}"
    logits, labels = EXAMPLES["weighted_cross_entropy"]["inputs"]
    others = np.argwhere(np.arange(3) != labels[:, None]).tolist()
    found = checked(f"{TARGET}:weighted_cross_entropy_wrong", "0")
    assert found["logits"].where == f"entries {others}"
