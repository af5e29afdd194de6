"""What was measured, as a table to read, a dictionary for JSON, and a history for CSV."""

import csv
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.table import Table

from handgrad import files
from handgrad.comparison import Comparison
from handgrad.exact import Proof
from handgrad.extras import Missing, needed_for
from handgrad.files import write_whole
from handgrad.history import Epoch
from handgrad.parity import FORWARD, GRADIENTS
from handgrad.plain import plain
from handgrad.stages import REFERENCE
from handgrad.training import Run
from handgrad.verification import Verification

MISSING = "–"


def results(verification: Verification) -> dict[str, Any]:
    """Everything measured, ready for JSON: a number that does not exist is None, never NaN."""
    finite_difference = verification.largest(REFERENCE, "finite difference")
    exact = {stage: verification.largest(stage, "exact") for stage in verification.stages}
    return plain(
        {
            "config": verification.problem.config.as_dict(),
            "ok": verification.ok,
            "left_out": list(verification.left_out),
            "stages": {stage: _stage_results(verification, stage) for stage in verification.stages},
            "finite_difference": _measured(finite_difference),
            "proof": _proof(verification.proof),
            "exact": {stage: _measured(found) for stage, found in exact.items()},
            "failures": [asdict(failure) for failure in verification.failures],
        }
    )


def run_results(run: Run) -> dict[str, Any]:
    """What one training came to, ready for JSON."""
    return plain({"config": run.problem.config.as_dict(), "stage": run.stage, **_run(run)})


def to_json(content: dict[str, Any]) -> str:
    """One JSON object, indented."""
    return json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


FILES = ("results.json", "history.csv", "figure.png")
"""What `write` writes."""


def make_folder(out: Path) -> Path:
    """The folder that `write` will write into: what stands in the way is found before the work."""
    files.make_folder(out)
    for name in FILES:
        files.require_file(out / name)
    return out


def write(out: Path, results: str, runs: Sequence[Run], bound: float | None = None) -> str:
    """results.json, history.csv and figure.png. bound: of a run's distance, drawn where given.

    Returns why there is no figure, "" where there is one.
    """
    write_whole(out / "results.json", results.encode())
    write_whole(out / "history.csv", history_csv(runs).encode())
    try:
        with needed_for("drawing"):
            from handgrad.figures import png, run_figure
    except Missing as missing:
        return str(missing)
    if runs:
        write_whole(out / "figure.png", png(run_figure(runs, bound)))
    return ""


def history_csv(runs: Iterable[Run]) -> str:
    """A line for each stage and epoch, headed by the names of the columns."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("stage", *Epoch._fields))
    for run in runs:
        writer.writerows((run.stage, *row) for row in run.rows)
    return text.getvalue()


def table(verification: Verification) -> Table:
    """A column for each stage, a row for each thing measured, its bound at the end of the row."""
    config, stages = verification.problem.config, verification.stages
    made = Table(
        title=f"seed {config.seed}, h = {config.hidden}, lr {config.lr:g}, batches of "
        f"{config.batch_size}, {config.epochs} epochs, {config.dtype}",
        caption="largest absolute difference from stage 1 (above a1: from the named "
        "witness), beside the bound that rounding allows",
    )
    made.add_column("")
    for stage in stages:
        made.add_column(stage.replace("_", "_\n", 1), justify="right")
    made.add_column("bound", justify="right")

    def differences(title: str, check: str, quantity: str | None = None) -> None:
        found = [verification.largest(stage, check, quantity) for stage in stages]
        there = [c for c in found if c is not None]
        if there:
            bound = max(there, key=lambda c: c.max_abs_diff).bound
            made.add_row(title, *map(_cell, found), _number(bound))

    proof = verification.proof
    if isinstance(proof, Proof) and proof:
        others = [MISSING] * (len(stages) - 1)
        made.add_row("exact proof", "proved", *others, "0")
    else:
        made.add_row("exact proof", MISSING if isinstance(proof, str) else "[red]✗ refuted[/]")
    differences("exact fractions", "exact")
    differences("central differences", "finite difference")
    made.add_section()
    for quantity in FORWARD:
        differences(quantity, "forward", quantity)
    made.add_section()
    for quantity in GRADIENTS:
        differences(quantity, "gradient", quantity)
    made.add_section()
    differences("the whole run", "run")
    made.add_section()
    runs = [verification.runs.get(stage) for stage in stages]
    for title, column in (("training accuracy", "train"), ("held-out accuracy", "val")):
        accuracies = (run and f"{run.final[f'{column}_accuracy']:.3f}" for run in runs)
        made.add_row(title, *(text or MISSING for text in accuracies))
    made.add_row("seconds of training", *(f"{run.seconds:.2f}" if run else MISSING for run in runs))
    made.add_row("microseconds a step", *(_microseconds(run) for run in runs))
    return made


def _stage_results(verification: Verification, stage: str) -> dict[str, Any]:
    forward, gradient, run = (
        verification.largest(stage, check) for check in ("forward", "gradient", "run")
    )
    found = {
        "forward_max_abs_diff": getattr(forward, "max_abs_diff", None),
        "gradient_max_abs_diff": getattr(gradient, "max_abs_diff", None),
        "trajectory_max_abs_diff": getattr(run, "max_abs_diff", None),
        "trajectory_bound": getattr(run, "bound", None),
        **_run(verification.runs.get(stage)),
    }
    for check, quantities in (("forward", FORWARD), ("gradient", GRADIENTS)):
        found[check] = {q: _measured(verification.largest(stage, check, q)) for q in quantities}
    return found


def said_of(proof: Proof | str) -> str:
    """What was proved of stage 1, in a sentence."""
    if isinstance(proof, str):
        return f"{REFERENCE} was not proved: {proof}"
    h, B = proof.shapes["b1"][0], proof.shapes["x"][0]
    return f"{REFERENCE} at h = {h}, B = {B}: {proof}"


def _proof(proof: Proof | str) -> dict[str, Any]:
    if isinstance(proof, str):
        return {"ok": None, "why": proof}
    return {
        "ok": proof.ok,
        "patterns": proof.patterns,
        "degree": proof.degree,
        "chance": proof.chance,
        "shapes": {name: list(shape) for name, shape in proof.shapes.items()},
        "refuted": None if proof.refuted is None else str(proof.refuted),
    }


def _run(run: Run | None) -> dict[str, Any]:
    return {
        "steps": run and run.steps,
        "train_accuracy": run and run.final["train_accuracy"],
        "val_accuracy": run and run.final["val_accuracy"],
        "train_seconds": run and run.seconds,
        "microseconds_per_step": run.seconds / run.timed_steps * 1e6
        if run and run.timed_steps
        else None,
        "final_loss": run and run.final["train_loss"],
        "diverged_at": run and run.diverged_at,
    }


def _measured(found: Comparison | None) -> dict[str, float] | None:
    return None if found is None else {"max_abs_diff": found.max_abs_diff, "bound": found.bound}


def _cell(found: Comparison | None) -> str:
    if found is None:
        return MISSING
    return _number(found.max_abs_diff) if found.ok else f"[red]✗ {_number(found.max_abs_diff)}[/]"


def _number(value: float) -> str:
    return "0" if value == 0 else escape(f"{value:.1e}")


def _microseconds(run: Run | None) -> str:
    return f"{run.seconds / run.timed_steps * 1e6:.0f}" if run and run.timed_steps else MISSING
