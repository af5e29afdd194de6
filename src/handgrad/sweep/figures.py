"""A sweep's figures: how accuracy is distributed, where it succeeds, how it gets there."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from handgrad.sweep.engine import SUCCESS
from handgrad.sweep.grid import Grid
from handgrad.sweep.summary import ALL_SOURCES, COMBINATION, curves

MOST_PANELS = 48
"""Panels on one sheet; of a larger grid the first are drawn, and the sheet says so."""

LUCK_STYLES = {"data": "--", "init": "-.", "order": ":"}


def figures(grid: Grid, table: pl.LazyFrame, summary: pl.DataFrame) -> Iterator[tuple[str, Figure]]:
    """Each figure with the name of its file; summary: `summarised` of the table."""
    yield "distribution", distribution(grid, table, summary)
    yield "success", success(grid, summary)
    if len(grid.looked_at) > 1:
        yield "epochs", epochs(grid, table, summary)
    if len(grid.vary) > 1:
        yield "luck", luck(grid, table, summary)


def distribution(grid: Grid, table: pl.LazyFrame, summary: pl.DataFrame) -> Figure:
    """A strip for each combination: how many trainings end at which held-out accuracy."""
    cells = _cells(grid)
    figure = Figure(figsize=(9, 1.9 + 0.32 * len(cells)), layout="constrained")
    axes = figure.subplots()
    accuracies = [_accuracies(table, key) for _, key in cells]
    lowest = min((float(a.min()) for a in accuracies if len(a)), default=0.5)
    low = min(math.floor(lowest * 10) / 10, 0.5)
    edges = np.arange(round(low * 100), 101) / 100
    strips = []
    for row, accuracy in enumerate(accuracies):
        counts, _ = np.histogram(accuracy, edges)
        strips.append(counts / max(counts.max(), 1))
        if len(accuracy):
            axes.plot(np.quantile(accuracy, [0.05, 0.95]), [row, row], "|", color="black", ms=9)
            axes.plot(np.median(accuracy), row, "D", color="black", mfc="white", ms=5)
    axes.imshow(strips, cmap="Greys", aspect="auto", extent=(low, 1, len(cells) - 0.5, -0.5))
    axes.axvline(SUCCESS, color="black", linewidth=0.8, linestyle=":")
    axes.set_yticks(range(len(cells)), [label for label, _ in cells], fontsize=8)
    axes.set(
        xlabel="held-out accuracy at the end",
        title=_title("Where trainings end", grid, len(grid.cells), summary)
        + f"\nBlack: where most of a row end; ◇ median, | 5 and 95 %; dotted: {SUCCESS}",
    )
    return figure


def success(grid: Grid, summary: pl.DataFrame) -> Figure:
    """A map for each initialisation and group: the share of successes over width and rate."""
    all_sheets = [(varies, init) for varies in grid.vary for init in grid.init]
    sheets = all_sheets[:MOST_PANELS]
    width, height = 1.6 + 0.7 * len(grid.lr), 1.2 + 0.45 * len(grid.hidden)
    figure, panels = _panels(len(sheets), 3, (2.2, width), (1.6, height), least=6, share=False)
    for axes, (varies, init) in zip(panels, sheets, strict=True):
        here = summary.filter(varies=varies, init=init)
        share = here["success"].to_numpy().reshape(len(grid.hidden), len(grid.lr))
        axes.imshow(share, cmap="Greys_r", vmin=0, vmax=1, aspect="auto")
        for (row, column), value in np.ndenumerate(share):
            colour = "black" if value > 0.4 else "white"
            axes.text(column, row, f"{value:.2f}", ha="center", va="center", color=colour)
        axes.set_xticks(range(len(grid.lr)), [f"{lr:g}" for lr in grid.lr])
        axes.set_yticks(range(len(grid.hidden)), list(map(str, grid.hidden)))
        axes.set(xlabel="learning rate", ylabel="hidden units h", title=_group(varies, init))
    figure.suptitle(
        _title(f"Share of trainings that reach {SUCCESS}", grid, len(all_sheets))
        + "\nThe brighter a square, the larger the share"
    )
    return figure


def epochs(grid: Grid, table: pl.LazyFrame, summary: pl.DataFrame) -> Figure:
    """A panel for each combination: the held-out accuracy's quantiles after each epoch."""
    cells, found = _cells(grid), curves(table)
    figure, panels = _panels(len(cells), 4, (2.6, 2.6), (1.3, 2.0), least=8, share=True)
    for axes, (label, key) in zip(panels, cells, strict=True):
        q = found.filter(**key).sort("look")
        if len(q):  # not all have diverged
            axes.fill_between(grid.looked_at, q["q05"], q["q95"], color="0.85")
            axes.fill_between(grid.looked_at, q["q25"], q["q75"], color="0.65")
            axes.plot(grid.looked_at, q["median"], color="black")
        axes.axhline(SUCCESS, color="black", linewidth=0.8, linestyle=":")
        axes.set_title(label, fontsize=8)
    figure.supxlabel("epoch")
    figure.supylabel("held-out accuracy")
    figure.suptitle(
        _title("How trainings get there", grid, len(grid.cells), summary)
        + f"\nLine: median; bands: 25 to 75 % and 5 to 95 % of the trainings; dotted: {SUCCESS}"
    )
    return figure


def luck(grid: Grid, table: pl.LazyFrame, summary: pl.DataFrame) -> Figure:
    """A panel for each combination: the accuracy's distribution for each group of streams."""
    all_sheets = [(h, lr, init) for init in grid.init for h in grid.hidden for lr in grid.lr]
    sheets = all_sheets[:MOST_PANELS]
    figure, panels = _panels(len(sheets), 3, (2.0, 3.2), (1.5, 2.4), least=8, share=True)
    for axes, (h, lr, init) in zip(panels, sheets, strict=True):
        for varies in grid.vary:
            key = {"varies": varies, "init": init, "hidden": h, "lr": lr}
            accuracy = np.sort(_accuracies(table, key))
            share = np.arange(1, len(accuracy) + 1) / max(len(accuracy), 1)
            explains = summary.filter(**key)["explains"][0]
            name = "all" if varies == ALL_SOURCES else varies
            if explains is not None and varies != ALL_SOURCES:
                name += f", variance {explains:.2f} of all's"
            axes.step(
                accuracy, share, LUCK_STYLES.get(varies, "-"), color="black", lw=1.2, label=name
            )
        axes.set_title(f"h = {h}, rate {lr:g}, {init}", fontsize=9)
        axes.legend(fontsize=7, loc="upper left")
    figure.supxlabel("held-out accuracy at the end")
    figure.supylabel("share of trainings at or below it")
    figure.suptitle(
        _title("Which luck matters", grid, len(all_sheets), summary)
        + f"\nThe flatter a line, the more its streams decide; the others stay at seed {grid.seed}"
    )
    return figure


def _panels(
    count: int,
    most: int,
    width: tuple[float, float],
    height: tuple[float, float],
    *,
    least: float,
    share: bool,
) -> tuple[Figure, list[Axes]]:
    """A sheet of panels, at most `most` in a row.

    width, height: inches of the margins, then of a panel; least: of the sheet's width; share:
    whether the panels have one scale.
    """
    columns = min(count, most)
    rows = -(-count // columns)
    size = (max(width[0] + width[1] * columns, least), height[0] + height[1] * rows)
    figure = Figure(figsize=size, layout="constrained")
    panels = list(figure.subplots(rows, columns, squeeze=False, sharex=share, sharey=share).flat)
    for unused in panels[count:]:
        unused.set_axis_off()
    return figure, panels[:count]


def _cells(grid: Grid) -> list[tuple[str, dict[str, Any]]]:
    """A label and the table's keys of each combination, as far as there is room."""
    found = []
    for config, varies in grid.cells[:MOST_PANELS]:
        values = (varies, config.init, config.hidden, config.lr)
        label = f"h = {config.hidden}, rate {config.lr:g}, {config.init}"
        if len(grid.vary) > 1:
            label += f", {_group(varies)}"
        found.append((label, dict(zip(COMBINATION, values, strict=True))))
    return found


def _accuracies(table: pl.LazyFrame, key: dict[str, Any]) -> np.ndarray:
    """Those of one combination, without the diverged trainings."""
    return (
        table.filter(**key).select("val_accuracy").collect()["val_accuracy"].drop_nulls().to_numpy()
    )


def _group(varies: str, init: str = "") -> str:
    parts = [init] if init else []
    return ", ".join([*parts, "all vary" if varies == ALL_SOURCES else f"{varies} varies"])


def _title(what: str, grid: Grid, panels: int, summary: pl.DataFrame | None = None) -> str:
    """summary: where the figure leaves the diverged trainings out, to say how many."""
    notes = [f"{grid.seeds:,} seeds each"]
    if panels > MOST_PANELS:
        notes.append(f"the first {MOST_PANELS} of {panels} combinations")
    if summary is not None and summary["diverged"].sum():
        notes.append(f"without {summary['diverged'].sum():,} that diverged")
    return f"{what} ({'; '.join(notes)})"
