"""The command, started as a user starts it: what it prints, writes, refuses, and exits with."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from inspect import signature, unwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from engines import copy_of
from system import ctrl_c_on, posix

from handgrad import STAGES, Config, make_problem, train
from handgrad import stages as stages_module
from handgrad.checkpoint import load_checkpoint
from handgrad.cli import EXAMPLES, main
from handgrad.cli.bars import Stopped, epochs_bar, signals
from handgrad.history import Epoch

SMALL = ["--epochs", "3", "--n-train", "50", "--n-val", "20", "--batch-size", "16", "--hidden", "3"]

# `python -m` ends itself with the signal where the interrupt went through an exec(), as there are
# in torch's import; a shell says 130 for both.
INTERRUPTED = (130, -signal.SIGINT)


def handgrad(
    *arguments: str | Path, cwd: Path, columns: int = 100, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "handgrad", *map(str, arguments)],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "COLUMNS": str(columns), **(env or {})},
    )


@pytest.mark.slow
def test_verify_prints_the_table_and_writes_the_results(tmp_path: Path) -> None:
    done = handgrad("verify", *SMALL, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for said in (
        "central differences",
        "dW1",
        "the whole run",
        "bound",
        "Equal: every bound holds",
    ):
        assert said in done.stdout
    config = Config(epochs=3, n_train=50, n_val=20, batch_size=16, hidden=3)
    out = tmp_path / "runs" / f"42-{config.short_hash()}"
    assert {f.name for f in out.iterdir()} == {"results.json", "history.csv", "figure.png"}
    assert (out / "figure.png").read_bytes().startswith(b"\x89PNG")
    rows = list(csv.DictReader((out / "history.csv").read_text().splitlines()))
    assert [r["stage"] for r in rows] == [s for s in STAGES for _ in range(4)]
    run = train(make_problem(config))
    assert [float(r["val_loss"]) for r in rows[:4]] == run.history["val_loss"].tolist()
    assert json.loads((out / "results.json").read_text())["ok"] is True


@pytest.mark.slow
def test_json_is_one_object_and_all_else_goes_to_standard_error(tmp_path: Path) -> None:
    done = handgrad("verify", *SMALL, "--json", "--out", "here", cwd=tmp_path)
    assert done.returncode == 0
    results = json.loads(done.stdout)
    assert "the whole run" in done.stderr
    assert done.stdout == (tmp_path / "here" / "results.json").read_text()
    assert results["config"]["hidden"] == 3
    assert (results["ok"], results["failures"]) == (True, [])
    assert list(results["stages"]) == list(STAGES)
    for stage in results["stages"].values():
        assert stage["steps"] == 12
        assert stage["forward_max_abs_diff"] <= 2e-14
        assert stage["gradient_max_abs_diff"] <= 2e-14
        assert stage["trajectory_max_abs_diff"] <= stage["trajectory_bound"] == 1e-12
        assert stage["microseconds_per_step"] == pytest.approx(stage["train_seconds"] / 12 * 1e6)
        assert stage["train_accuracy"] == results["stages"]["numpy_manual"]["train_accuracy"]
    assert 0 < results["finite_difference"]["max_abs_diff"] < results["finite_difference"]["bound"]
    assert results["exact"]["pytorch_autograd"] == {"max_abs_diff": 0.0, "bound": 0.0}


@pytest.mark.slow
def test_a_number_that_does_not_exist_is_null(tmp_path: Path) -> None:
    done = handgrad("verify", *SMALL[2:], "--epochs", "0", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "NaN" not in done.stdout
    stage = json.loads(done.stdout)["stages"]["pytorch_autograd"]
    assert (stage["steps"], stage["microseconds_per_step"]) == (0, None)


@pytest.mark.slow
def test_verify_exits_with_3_when_training_diverges(tmp_path: Path) -> None:
    done = handgrad("verify", *SMALL, "--lr", "1e30", "--json", cwd=tmp_path)
    assert done.returncode == 3
    results = json.loads(done.stdout)
    assert results["ok"] is False
    assert results["failures"][-1]["bound"] is None
    assert "the training diverges; try a smaller rate" in done.stderr
    assert "diverged at step" in done.stderr


def test_a_broken_stage_is_named_in_the_table_and_in_json(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong: Any = copy_of("pytorch_no_autograd")
    wrong.relu_derivative = lambda a: a > 1e9
    monkeypatch.setitem(sys.modules, "handgrad.stages.pytorch_no_autograd", wrong)
    monkeypatch.setattr(
        sys, "argv", ["handgrad", "verify", *SMALL, "--json", "--out", str(tmp_path)]
    )
    assert stages_module.load("pytorch_no_autograd") is wrong
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 1
    printed = capsys.readouterr()
    failures = json.loads(printed.out)["failures"]
    assert {f["stage"] for f in failures} == {"pytorch_no_autograd"}
    assert {f["quantity"] for f in failures if f["check"] == "gradient"} == {"dW1", "db1"}
    run = failures[-1]
    assert (run["check"], run["epoch"], run["step"]) == ("run", 1, 1)
    assert "✗" in printed.err
    assert "Not equal" in printed.err


@pytest.mark.slow
def test_train_goes_on_from_a_checkpoint_with_its_options(tmp_path: Path) -> None:
    whole = handgrad("train", "numpy_manual", *SMALL, "--json", cwd=tmp_path)
    first = [*SMALL[2:], "--epochs", "2", "--checkpoint", "run", "--every", "1"]
    assert handgrad("train", "pytorch_autograd", *first, cwd=tmp_path).returncode == 0
    on = ["--resume", "run", "--epochs", "3", "--json"]
    resumed = handgrad("train", "numpy_manual", *on, cwd=tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    one, other = json.loads(whole.stdout), json.loads(resumed.stdout)
    assert one["config"] == other["config"]
    assert one["final_loss"] == pytest.approx(other["final_loss"], rel=1e-12)
    assert other["steps"] == 12


def test_train_writes_what_it_is_asked_to(tmp_path: Path) -> None:
    done = handgrad("train", "numpy_manual", *SMALL, "--out", "here", cwd=tmp_path)
    assert done.returncode == 0
    assert "held out" in done.stdout
    names = {f.name for f in (tmp_path / "here").iterdir()}
    assert names == {"results.json", "history.csv", "figure.png"}


def test_train_that_diverges_says_at_which_step_and_keeps_the_history(tmp_path: Path) -> None:
    done = handgrad(
        "train", "numpy_manual", *SMALL, "--lr", "1e3", "--epochs", "50", "--out", ".", cwd=tmp_path
    )
    assert done.returncode == 3
    assert "numpy_manual: diverged at step" in done.stdout
    assert len((tmp_path / "history.csv").read_text().splitlines()) >= 2


def started(*arguments: str, cwd: Path, **streams: Any) -> subprocess.Popen[str]:
    """The command, running."""
    with ctrl_c_on():
        return subprocess.Popen(
            [sys.executable, "-m", "handgrad", *arguments],
            cwd=cwd,
            text=True,
            **streams,
        )


@posix
def test_ctrl_c_leaves_a_checkpoint_and_says_so(tmp_path: Path) -> None:
    command = ["train", "numpy_manual", "--epochs", "4000", "--checkpoint", "run", "--every", "1"]
    streams = {"stderr": subprocess.PIPE, "stdout": subprocess.DEVNULL}
    with started(*command, cwd=tmp_path, **streams) as process:
        while not (tmp_path / "run").exists():
            time.sleep(0.01)
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode in INTERRUPTED
    assert "handgrad: interrupted; run holds the last whole epoch: go on with --resume run" in said
    assert "Traceback" not in said
    assert load_checkpoint(tmp_path / "run").epoch > 0


@pytest.mark.slow
@posix
def test_ctrl_c_during_verify_says_so(tmp_path: Path) -> None:
    command = ("verify", "--epochs", "20000")
    with started(*command, cwd=tmp_path, stderr=subprocess.PIPE) as process:
        while not (tmp_path / "runs").exists():
            time.sleep(0.01)
        time.sleep(3)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode in INTERRUPTED
    assert said.endswith("handgrad: interrupted; nothing was written\n")
    assert "Traceback" not in said


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_ctrl_c_that_python_drops_ends_the_work_at_the_next_epoch() -> None:
    """An exception in a finalizer is dropped; imports have many, and a key may be hit in one."""

    class Finalized:
        def __del__(self) -> None:
            signal.raise_signal(signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with signals(), epochs_bar(3) as on_epoch:
            del (finalized := [Finalized()])[:]
            assert finalized == [], "the interrupt was dropped"
            with pytest.raises(Stopped):
                on_epoch("numpy_manual", 1, Epoch(1, *[0.5] * 9))
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a job in the background
        with signals(), epochs_bar(3):
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("train jax", "stage must be one of numpy_manual, pytorch_no_autograd, pytorch_autograd"),
        ("train numpy_manual --hidden 0", "hidden must be a whole number of at least 1, got 0"),
        ("train numpy_manual --n-train -5", "n_train must be a whole number of at least 1, got -5"),
        ("train numpy_manual --hidden many", "Invalid value for '--hidden'"),
        ("train numpy_manual --lr nan", "lr must be a finite number above 0, got nan"),
        ("train numpy_manual --lr -1", "lr must be a finite number above 0, got -1.0"),
        ("train numpy_manual --batch-size 600", "batch_size must not exceed n_train"),
        ("train numpy_manual --dtype half", "dtype must be float64 or float32"),
        ("train numpy_manual --init zeros", "init must be he or normal:SD"),
        ("train numpy_manual --every 0", "every must be a whole number of at least 1"),
        ("verify --prove 0", "prove must be a whole number of at least 1, got 0"),
        ("train numpy_manual --resume nowhere", "nowhere must be a file that can be read"),
        ("train numpy_manual --resume text", "text must be a whole safetensors file"),
        ("train numpy_manual --resume whole --hidden 9", "hidden must be 3 as in whole, got 9"),
        ("train numpy_manual --resume whole --epochs 1", "epochs must be at least the 3"),
        ("train numpy_manual --checkpoint no/run", "no/run must be a file that can be written"),
        ("train numpy_manual --out text", "text must be a folder that can be written"),
        ("verify --out text/in", "text/in must be a folder that can be written"),
        ("verify --device cuda:7", "device must be one that pytorch_no_autograd can use"),
        ("verify --epochs -1", "epochs must be a whole number of at least 0, got -1"),
        ("verify --nonsense", "No such option"),
        ("verify extra", "unexpected extra argument"),
        ("prove", "No such command 'prove'"),
        ("train", "Missing argument 'STAGE'"),
    ],
)
def test_bad_input_gets_one_line_and_exit_code_2(arguments: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("not a checkpoint")
    small = Config(epochs=3, n_train=50, n_val=20, batch_size=16, hidden=3)
    train(make_problem(small), checkpoint=tmp_path / "whole")
    before = (tmp_path / "whole").read_bytes()
    done = handgrad(*arguments.split(), cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert done.stderr.startswith("handgrad: ")
    assert done.stderr.count("\n") == 1
    assert says in done.stderr
    assert (tmp_path / "whole").read_bytes() == before


def test_notebooks_are_copied_and_never_over_changed_ones(tmp_path: Path) -> None:
    done = handgrad("notebooks", "mine", cwd=tmp_path)
    assert done.returncode == 0
    assert "jupyter lab mine" in done.stdout
    assert len(list((tmp_path / "mine").rglob("*.*"))) >= 9
    (tmp_path / "mine" / "01_numpy_manual.ipynb").write_text("my work")
    refused = handgrad("notebooks", "mine", cwd=tmp_path)
    assert refused.returncode == 2
    assert refused.stderr.count("\n") == 1
    assert "01_numpy_manual.ipynb would be overwritten" in refused.stderr
    assert (tmp_path / "mine" / "01_numpy_manual.ipynb").read_text() == "my work"
    assert handgrad("notebooks", "mine", "--force", cwd=tmp_path).returncode == 0


@pytest.mark.slow
def test_help_is_enough_to_use_it(tmp_path: Path) -> None:
    for arguments in ([], ["--help"]):
        done = handgrad(*arguments, cwd=tmp_path)
        assert done.returncode == 0
        assert "verify" in done.stdout
        assert "train" in done.stdout
    for command in ("verify", "train"):
        said = handgrad(command, "--help", cwd=tmp_path).stdout
        for field in Config().as_dict():
            assert f"--{field.replace('_', '-')}" in said
    assert all(stage in said for stage in STAGES)


def test_the_script_and_the_module_are_the_same_command(tmp_path: Path) -> None:
    script = Path(sys.executable).with_name("handgrad")
    said = subprocess.run([script, "train", "jax"], capture_output=True, text=True, check=False)
    assert said.stderr == handgrad("train", "jax", cwd=tmp_path).stderr


def test_results_in_json_are_numbers_or_null() -> None:
    from handgrad.report import to_json

    with pytest.raises(ValueError, match="not JSON compliant"):
        to_json({"x": np.nan})


@pytest.mark.slow
def test_a_narrow_terminal_shows_every_number(tmp_path: Path) -> None:
    command = ["verify", *SMALL, "--out", "here"]
    wide, narrow = (handgrad(*command, cwd=tmp_path, columns=n).stdout for n in (200, 20))
    rows = [line.split("│") for line in wide.splitlines() if "│ d" in line]
    assert len(rows) == 4
    for row in rows:
        assert [line.split("│") for line in narrow.splitlines() if row[1].strip() in line]
        for cell in row:
            assert cell.strip() in narrow
    assert "…" not in narrow


def test_every_command_says_what_it_does_and_returns_an_exit_code() -> None:
    for command in EXAMPLES:
        assert command.__doc__, command
        assert signature(unwrap(command)).return_annotation is int, command
