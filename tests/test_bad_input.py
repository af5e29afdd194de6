"""What cannot be used is told in one line, on the command line and in Python."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_cli import SMALL, handgrad

from handgrad import Config, Grid, gradcheck, make_problem, train, verify
from handgrad.errors import BadInput
from handgrad.files import alone

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
    ("train numpy_manual --hidden 100000000000", MEMORY),
    ("train numpy_manual --epochs 10000000000", MEMORY),
    ("train numpy_manual --n-val 1000000000000", MEMORY),
    ("train numpy_manual --out ' '", "it must name a file or folder, got ' '"),
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
    ("check nothing.py --points 1000000000", "nothing.py must be a Python file that exists"),
]


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


CALLS: dict[str, tuple[Any, str]] = {
    "points": (lambda: gradcheck(square, ONE, double, points=10**9), "points must be at most"),
    "points, half": (lambda: gradcheck(square, ONE, double, points=1.5), "points must be a whole"),  # type: ignore[arg-type]
    "seed": (lambda: gradcheck(square, ONE, double, seed=-1), "seed must be a whole number"),
    "hidden": (lambda: make_problem(Config(hidden=10**20)), MEMORY),
    "epochs": (lambda: train(make_problem(Config(epochs=10**20))), MEMORY),
    "batch": (lambda: train(make_problem(Config(0, 10**5, 0, 0.1, 10**6, 10**6))), MEMORY),
    "stages": (lambda: verify(make_problem(Config(epochs=0)), []), "stages must name at least one"),
    "grid": (lambda: Grid(hidden=(10**9,), seeds=1, epochs=1), MEMORY),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_function_refuses_it_in_one_sentence(name: str) -> None:
    call, says = CALLS[name]
    with pytest.raises(BadInput, match=says) as refused:
        call()
    assert "\n" not in str(refused.value)


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
