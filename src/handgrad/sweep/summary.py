"""What a sweep says: a line for each combination, and how much each source of luck explains."""

import polars as pl
from rich.box import SIMPLE_HEAD
from rich.table import Table

from handgrad.sweep.engine import STUCK, SUCCESS
from handgrad.sweep.grid import SOURCES, Grid

COMBINATION = ["varies", "init", "hidden", "lr"]
QUANTILES = {"q05": 0.05, "median": 0.5, "q95": 0.95}
ALL_SOURCES = ",".join(SOURCES)

ENOUGH = 10_000
"""Seeds from which a band over the epochs is drawn: more would change no pixel."""


def summarised(table: pl.LazyFrame) -> pl.DataFrame:
    """A row for each combination, in the order of the table.

    trainings; val_accuracy's and val_loss's quantiles over those that did not diverge; success: the
    share of all with a held-out accuracy of at least 0.93; stuck: of those below 0.80; dead_units:
    their mean; diverged: how many; explains: the variance of the accuracy over that of the group in
    which all streams vary, for the same combination, where there is one.
    """
    accuracy = pl.col("val_accuracy")
    found = (
        table.group_by(COMBINATION, maintain_order=True)
        .agg(
            pl.len().alias("trainings"),
            *(accuracy.quantile(q, "linear").alias(f"accuracy_{n}") for n, q in QUANTILES.items()),
            *(
                pl.col("val_loss").quantile(q, "linear").alias(f"loss_{n}")
                for n, q in QUANTILES.items()
            ),
            (accuracy >= SUCCESS).fill_null(False).mean().alias("success"),
            (accuracy < STUCK).fill_null(False).mean().alias("stuck"),
            pl.col("dead_units").mean(),
            pl.col("diverged").sum(),
            accuracy.var().alias("variance"),
        )
        .collect(engine="streaming")
    )
    whole = found.filter(pl.col("varies") == ALL_SOURCES).select(
        *COMBINATION[1:], pl.col("variance").alias("all")
    )
    return (
        found.join(whole, on=COMBINATION[1:], how="left", maintain_order="left")
        .with_columns(
            pl.when(pl.col("all") > 0).then(pl.col("variance") / pl.col("all")).alias("explains")
        )
        .drop("variance", "all")
    )


def printed(grid: Grid, summary: pl.DataFrame) -> Table:
    """The summary as a person reads it."""
    compared = len(grid.vary) > 1
    several = {name: len(getattr(grid, name)) > 1 for name in ("init", "hidden", "lr")}
    fixed = {"init": grid.init[0], "hidden": f"h = {grid.hidden[0]}", "lr": f"lr {grid.lr[0]:g}"}
    made = Table(
        box=SIMPLE_HEAD,
        pad_edge=False,
        padding=(0, 0, 0, 1),
        title=f"{grid.trainings:,} trainings: {grid.seeds:,} seeds of each combination, "
        + ", ".join([fixed[name] for name in several if not several[name]])
        + f"\n{grid.epochs} epochs, {grid.dtype}",
        caption="accuracy and loss: held out, at the end, without the diverged (div.); "
        "≥ and <: the share with such an accuracy"
        + "; expl.: the accuracy's variance over that where all vary"
        * compared,
    )
    titles = ["varies"] * compared + [{"hidden": "h"}.get(n, n) for n, s in several.items() if s]
    titles += ["accuracy\n5, 50, 95 %", "loss\n5, 50, 95 %"]
    titles += [f"≥ {_short(SUCCESS, 2)}", f"< {_short(STUCK, 2)}", "dead\nunits", "div."]
    for title in titles + ["expl."] * compared:
        made.add_column(title, justify="right", no_wrap="5, 50" in title, overflow="fold")
    for row in summary.to_dicts():
        shown = {"init": row["init"], "hidden": str(row["hidden"]), "lr": f"{row['lr']:g}"}
        cells = ["all" if row["varies"] == ALL_SOURCES else row["varies"]] * compared
        cells += [shown[name] for name in several if several[name]]
        cells += [
            " ".join(_short(row[f"{of}_{q}"]) for q in QUANTILES) for of in ("accuracy", "loss")
        ]
        cells += [_short(row["success"]), _short(row["stuck"]), _short(row["dead_units"], 2)]
        cells += [str(row["diverged"]), *[_short(row["explains"], 2)] * compared]
        made.add_row(*cells)
    return made


def _short(value: float | None, digits: int = 3) -> str:
    """Without the 0 before the point; – where there is no value."""
    return "–" if value is None else f"{value:.{digits}f}".removeprefix("0")


def curves(table: pl.LazyFrame) -> pl.DataFrame:
    """For each combination and each look at the held-out samples, the accuracy's quantiles.

    look: its number, from 0; q05, q25, median, q75, q95, over at most `ENOUGH` seeds, without those
    that diverged.
    """
    wanted = {"q05": 0.05, "q25": 0.25, "median": 0.5, "q75": 0.75, "q95": 0.95}
    accuracy = pl.col("val_accuracies")
    return (
        table.filter(pl.col("seed") < ENOUGH, ~pl.col("diverged"))
        .select(*COMBINATION, "val_accuracies")
        .with_columns(pl.int_ranges(accuracy.list.len()).alias("look"))
        .explode("val_accuracies", "look")
        .group_by(*COMBINATION, "look", maintain_order=True)
        .agg(*(accuracy.quantile(q, "linear").alias(name) for name, q in wanted.items()))
        .collect()
    )
