"""What a command says with its exit code: the table in README, one case after the other."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from system import ctrl_c_on, posix
from test_cli import SMALL, handgrad

COMMAND = [sys.executable, "-m", "handgrad"]
LONG = ["verify", "--epochs", "100000"]


def test_the_table_of_the_command_has_them_all() -> None:
    page = (Path(__file__).parent.parent / "docs" / "command.md").read_text()
    codes = re.findall(r"^\| (\d+) \|", page, re.MULTILINE)
    assert codes == ["0", "1", "2", "3", "130", "143", "141"]


@pytest.mark.slow
def test_a_run_that_diverges_decides_nothing(tmp_path: Path) -> None:
    done = handgrad("verify", *SMALL, "--lr", "40", "--out", "here", cwd=tmp_path)
    assert done.returncode == 3, done.stdout
    assert "Undecided: what could be compared is equal; see above." in done.stdout
    assert "Not equal" not in done.stdout
    done = handgrad("train", "numpy_manual", *SMALL, "--lr", "1e30", cwd=tmp_path)
    assert done.returncode == 3
    assert "diverged at step" in done.stdout


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("import sys; sys.exit(0)", "ended the process with code 0 (sys.exit?)"),
        ("raise SystemExit('no')", "ended the process with code 1 (sys.exit?)"),
        ("import os; os._exit(0)", "ended the process with code 0 (sys.exit?)"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "was killed by SIGKILL"),
        ("loss, params, grads = 3, {}, {}", "user.py: loss must be a function, got 3"),
        ("module, inputs = 'net', []", "user.py: module must be a function, got 'net'"),
    ],
)
def test_a_file_that_ends_the_process_is_no_pass(text: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "user.py").write_text(text)
    done = handgrad("check", "user.py", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    assert says in done.stderr
    assert done.stderr.splitlines()[-1].startswith("handgrad: ")


RIGHT = """
import numpy as np
import beside
print("a line of the file's own")
params = {"w": np.ones(2)}
def loss(p): return (p["w"] ** 2).sum()
def grads(p): return {"w": beside.two * p["w"]}
"""


def test_a_module_beside_the_file_is_found_and_what_it_prints_is_no_json(tmp_path: Path) -> None:
    (tmp_path / "it").mkdir()
    (tmp_path / "it" / "user.py").write_text(RIGHT)
    (tmp_path / "it" / "beside.py").write_text("two = 2")
    done = handgrad("check", "it/user.py", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("{")
    assert "a line of the file's own" in done.stderr


def started(arguments: list[str], cwd: Path, **options: Any) -> "subprocess.Popen[str]":
    with ctrl_c_on():
        return subprocess.Popen(
            [*COMMAND, *arguments],
            cwd=cwd,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            **options,
        )


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("after", [0.3, 3.0])
@posix
def test_a_signal_ends_the_work_in_one_line(
    number: signal.Signals, code: int, after: float, tmp_path: Path
) -> None:
    process = started(LONG, tmp_path)
    time.sleep(after)
    process.send_signal(number)
    said = process.communicate(timeout=60)[1]
    assert process.returncode == code, said
    assert said.splitlines()[-1].startswith("handgrad: interrupted")
    assert "Traceback" not in said


def test_a_file_that_takes_long_is_stopped_with_the_command(tmp_path: Path) -> None:
    (tmp_path / "user.py").write_text("import time\nopen('started', 'w')\ntime.sleep(600)")
    process = started(["check", "user.py"], tmp_path)
    while not (tmp_path / "started").exists():
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    assert process.communicate(timeout=60)[1] == "handgrad: interrupted\n"
    assert process.returncode == 143


@pytest.mark.slow
@posix
def test_a_closed_pipe_is_141_and_the_files_are_there(tmp_path: Path) -> None:
    reads, writes = os.pipe()
    os.close(reads)
    done = subprocess.run(
        [*COMMAND, "verify", *SMALL, "--out", "here"],
        cwd=tmp_path,
        stdout=writes,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(writes)
    assert done.returncode == 141
    assert "Traceback" not in done.stderr
    names = {file.name for file in (tmp_path / "here").iterdir()}
    assert names == {"results.json", "history.csv", "figure.png"}


@pytest.mark.slow
@pytest.mark.parametrize("end", [">&-", "2>&-", "2>/dev/full"])
@posix
def test_a_stream_that_is_closed_or_full_changes_no_verdict(end: str, tmp_path: Path) -> None:
    line = " ".join([*COMMAND, "verify", *SMALL, "--out", "here", end])
    done = subprocess.run(line, shell=True, cwd=tmp_path, check=False, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "here" / "results.json").exists()


@pytest.mark.slow
@pytest.mark.parametrize("flags", [["-O"], ["-W", "error"]])
def test_flags_of_python_change_no_verdict(flags: list[str], tmp_path: Path) -> None:
    for arguments, code in (
        (["verify", *SMALL], 0),
        (["check", str(Path(__file__).parent.parent / "examples/numpy_backward.py:wrong")], 1),
    ):
        done = subprocess.run(
            [sys.executable, *flags, "-m", "handgrad", *arguments],
            cwd=tmp_path,
            check=False,
            capture_output=True,
            text=True,
        )
        assert done.returncode == code, done.stderr[-600:]
