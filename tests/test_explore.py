"""What Python gathers for the page, the command, and what it refuses."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_cli import handgrad

import handgrad as package
from handgrad import Config, make_problem, verify
from handgrad.errors import BadInput
from handgrad.explore import page, show
from handgrad.explore.code import QUANTITIES, code
from handgrad.explore.numbers import (
    STUCK,
    apart,
    by_epoch,
    catalogue,
    numbers,
    snapshots,
    switched,
)
from handgrad.parity import split
from handgrad.stages import STAGES, load, numpy_manual
from handgrad.training import train
from handgrad.verification import Verification, compare_runs

SMALL = Config(epochs=30, n_train=90, n_val=40, hidden=5, seed=3)


@pytest.fixture(scope="module")
def compared() -> Verification:
    return compare_runs(make_problem(SMALL))


def data(text: str) -> dict[str, Any]:
    (found,) = re.findall(r'id="data">(.*?)</script>', text, re.DOTALL)
    return json.loads(found)


def test_snapshots_begin_and_end_and_are_never_more_than_asked_for() -> None:
    for last in (0, 1, 2, 5, 63, 64, 200, 10_000):
        found = snapshots(last, 64)
        assert found == sorted(set(found))
        assert (found[0], found[-1]) == (0, last)
        assert min(1, last) in found  # the first epoch is shown batch by batch
        assert len(found) <= 65


def test_the_run_that_got_stuck_is_one() -> None:
    run = train(make_problem(STUCK))
    assert run.final["val_accuracy"] == 0.694


def test_what_the_page_carries_is_the_run(compared: Verification) -> None:
    run = compared.runs["numpy_manual"]
    each = by_epoch(run)
    assert each.shape == (SMALL.epochs + 1, 4 * SMALL.hidden + 1)
    for params, ours in zip(split(each[-1]), run.params, strict=True):
        assert np.array_equal(params, ours)
    own = apart(run, run)
    assert own.shape == (SMALL.epochs + 1, 4)
    assert not own.any()
    still = np.repeat(each[:1], run.steps + 1, axis=0) + 0.5
    moved = replace(run, trajectory=still)
    assert np.allclose(apart(moved, run)[0], 0.5)
    assert not switched(moved).any()
    assert switched(run)[1:].any()


def test_every_quantity_has_its_line_in_every_stage() -> None:
    for stage in STAGES:
        lines = code(load(stage))
        assert set(lines) == set(QUANTITIES)
        for quantity, found in lines.items():
            assert found, (stage, quantity)
        by_hand = stage in STAGES[:2]
        for gradient in ("dW1", "db1", "dW2", "db2", "dh1", "da1", "df"):
            last = lines[gradient][-1].text
            assert last.startswith(f"{gradient} = ") if by_hand else ".backward()" in last
    source = Path(numpy_manual.__file__).read_text().splitlines()
    (line,) = code(load("numpy_manual"))["dW1"]
    number = int(line.place.split("line ")[1].split(",")[0])
    assert source[number - 1].strip() == line.text


def test_a_refusal_is_what_numpy_says() -> None:
    refused = {(m["name"], m["layer"]): m["refusal"] for m in catalogue(make_problem(SMALL))}
    said = refused["db not summed", 0]
    assert said == (
        "non-broadcastable output operand with shape (5,) doesn't match the broadcast shape (32,5)"
    )
    assert refused["sign of dW", 0] is None
    assert sum(said is not None for said in refused.values()) >= 3


def test_pages_that_would_be_too_large_are_refused() -> None:
    for wrong, says in (
        ({"hidden": 129}, "hidden must be at most 128 for a page"),
        ({"n_train": 9_501}, "n_train + n_val must be at most 10,000 for a page"),
    ):
        with pytest.raises(BadInput, match=re.escape(says)):
            show(**wrong)  # type: ignore[arg-type]


def test_the_command_writes_one_file(tmp_path: Path) -> None:
    small = ["--epochs", "2", "--n-train", "40", "--n-val", "10"]
    done = handgrad("explore", *small, "--out", "new/page.html", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Written to new/page.html (" in done.stdout
    assert [f.name for f in (tmp_path / "new").iterdir()] == ["page.html"]
    content = data((tmp_path / "new" / "page.html").read_text(encoding="utf-8"))
    assert content["config"]["epochs"] == 2
    assert content["stages"] == list(STAGES)


@pytest.mark.slow
def test_a_run_that_diverges_is_written_and_exits_with_3(tmp_path: Path) -> None:
    done = handgrad("explore", "--lr", "30", "--epochs", "20", "--out", "p.html", cwd=tmp_path)
    assert done.returncode == 3, done.stderr
    assert "diverged at step" in done.stdout
    assert data((tmp_path / "p.html").read_text(encoding="utf-8"))["diverged_at"]


def test_stages_that_are_not_equal_are_told(compared: Verification) -> None:
    assert numbers(compared)["messages"] == []
    failing = verify(make_problem(replace(SMALL, lr=30.0)), ["pytorch_no_autograd"])
    assert "not decidable" in numbers(failing)["messages"][0]


def test_a_page_needs_a_verification() -> None:
    with pytest.raises(BadInput, match="verification must be a Verification"):
        page(None)  # type: ignore[arg-type]
    assert package.explore.page is page
