"""What a check shows: a table in a terminal and a notebook, a figure, JSON with a schema."""

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

from handgrad import gradcheck, gradcheck_layer, gradcheck_module
from handgrad.checker import Report
from handgrad.figures import gradients_figure, png

ROOT = Path(__file__).parent.parent
EXAMPLE = ROOT / "examples" / "numpy_backward.py"
SCHEMA = json.loads((ROOT / "docs" / "check.schema.json").read_text())

X = np.random.default_rng(0).standard_normal((3, 4))


def loss(p: Any) -> float:
    return float((X @ p["w"] + p["b"] * p["unused_name_that_is_long"]).sum() ** 2)


def grads(p: Any) -> Any:
    out = (X @ p["w"] + p["b"] * p["unused_name_that_is_long"]).sum()
    return {
        "w": 2 * out * X.sum(axis=0)[:, None] * np.ones((1, 2)),
        "b": 2 * out * 3 * p["unused_name_that_is_long"],
        "unused_name_that_is_long": 2 * out * 3 * p["b"],
    }


def checked(wrong: bool, **options: Any) -> Report:
    rng = np.random.default_rng(1)
    p = {"w": rng.standard_normal((4, 2)), "b": rng.standard_normal(2)}
    p["unused_name_that_is_long"] = rng.standard_normal(2)
    return gradcheck(
        loss, p, lambda p: grads(p) | ({"b": -grads(p)["b"]} if wrong else {}), seed=0, **options
    )


def test_the_worst_comes_first_and_columns_fit() -> None:
    report = checked(wrong=True)
    assert [row.verdict for row in report.rows] == ["fail", "pass", "pass"]
    first = report.rows[0]
    assert (first.what, first.error, first.cause) == ("b", "2.0e+00", "its sign is wrong")
    starts = {
        line.index(p.verdict)
        for line, p in zip(str(report).splitlines()[1:], report.parameters.values(), strict=False)
    }
    assert len(starts) == 1  # one column, however long a name is


def test_a_notebook_shows_a_table_and_no_markup_of_a_name() -> None:
    html = checked(wrong=True)._repr_html_()
    assert html.index("its sign is wrong") < html.index(">w<")
    assert html.count("<tr>") == 4
    report = gradcheck(
        lambda p: p["<b>"] ** 2, {"<b>": np.array(1.0)}, lambda p: {"<b>": 2 * p["<b>"]}
    )
    assert "<b>" not in report._repr_html_()


def test_entries_are_measured_where_they_are_asked_for() -> None:
    assert checked(wrong=True)["b"].right is None
    report = checked(wrong=True, entries=True)
    given, right = report["b"].given, report["b"].right
    assert given is not None
    assert right is not None
    np.testing.assert_allclose(right, -given, rtol=1e-6)
    assert report["w"].right is None  # it is right
    x = np.ones((65, 64))  # more than are measured
    many = gradcheck(lambda p: (p * x).sum(), x, lambda p: 2 * x, entries=True, seed=0)
    assert many.verdict == "fail"
    assert many["params"].right is None


def test_the_figure_has_a_row_for_each_wrong_gradient() -> None:
    report = checked(wrong=True, entries=True)
    figure = gradients_figure(report)
    panels = [axes for axes in figure.axes if axes.get_images()]
    assert [axes.get_title() for axes in panels] == [
        "b: the gradient that was given",
        "b: the slope by each entry",
        "b: the error",
    ]
    given, right, off = (axes.get_images()[0].get_array() for axes in panels)
    np.testing.assert_allclose(np.asarray(given) - np.asarray(right), np.asarray(off))
    assert png(figure).startswith(b"\x89PNG")


@pytest.mark.parametrize("wrong", [False, True])
@pytest.mark.parametrize("entries", [False, True])
def test_the_json_is_what_the_schema_says(wrong: bool, entries: bool) -> None:
    content = json.loads(json.dumps(checked(wrong, entries=entries).as_dict(), allow_nan=False))
    jsonschema.validate(content, SCHEMA)
    assert content["verdict"] == ("fail" if wrong else "pass")
    del content["parameters"]["b"]["cause"]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(content, SCHEMA)


def test_the_json_of_other_doors_too() -> None:
    torch = pytest.importorskip("torch")
    layer = gradcheck_layer(lambda x: (x**2, x), lambda dout, x: 2 * x * dout + 1, X, seed=0)
    net = torch.nn.Linear(4, 2)  # float32: it has a reference
    module = gradcheck_module(net, torch.ones(3, 4), second=True, seed=0)
    for report in (layer, module):
        jsonschema.validate(json.loads(json.dumps(report.as_dict())), SCHEMA)
    assert module.forward is not None
    assert layer.calls


def in_a_terminal(columns: int, *arguments: str) -> str:
    """What `handgrad check` prints in a terminal of so many columns."""
    ours, theirs = pty.openpty()
    environment = os.environ | {"COLUMNS": str(columns), "TERM": "xterm-256color"}
    environment.pop("NO_COLOR", None)
    command = [sys.executable, "-m", "handgrad", "check", *arguments]
    with subprocess.Popen(command, stdout=theirs, stderr=theirs, env=environment) as process:
        os.close(theirs)
        parts = []
        while True:
            try:
                part = os.read(ours, 2**16)
            except OSError:  # the other end is closed
                break
            if not part:
                break
            parts.append(part)
    os.close(ours)
    assert process.returncode == 1
    return b"".join(parts).decode()


@pytest.mark.slow
def test_a_terminal_shows_a_table_in_colour() -> None:
    shown = in_a_terminal(120, f"{EXAMPLE}:wrong", "--seed", "0")
    assert re.search(r"\x1b\[1;31mfail", shown)
    assert shown.index("b1") < shown.index("W1")  # the wrong one first
    plain = in_a_terminal(40, f"{EXAMPLE}:wrong", "--seed", "0")
    assert "\x1b[" not in plain
    assert plain.index("W1") < plain.index("b1")


@pytest.mark.slow
def test_the_command_draws_a_figure(tmp_path: Path) -> None:
    def check(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "handgrad", "check", *arguments]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)

    done = check(f"{EXAMPLE}:wrong", "--figure", "wrong.png", "--json")
    assert (done.returncode, done.stderr) == (1, "drawn: wrong.png\n")
    jsonschema.validate(json.loads(done.stdout), SCHEMA)
    assert (tmp_path / "wrong.png").read_bytes().startswith(b"\x89PNG")
    done = check(str(EXAMPLE), "--figure", "right.png")
    assert done.returncode == 0
    assert "No figure: no gradient is wrong" in done.stderr
    assert not (tmp_path / "right.png").exists()
    done = check(str(EXAMPLE), "--figure", ".")
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert ". must be a file that can be written, got a folder" in done.stderr
