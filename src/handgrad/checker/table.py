"""A report as a table, worst first: for a terminal, and for a notebook."""

import html as escaping
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from handgrad.checker.report import FAIL, PASS, WORST_FIRST, ParameterReport, Report

if TYPE_CHECKING:
    from rich.table import Table

COLOURS = {PASS: "green", FAIL: "red"}
UNCERTAIN = "yellow"


class Row(NamedTuple):
    """What is told of one parameter; the fields are the columns."""

    what: str
    verdict: str
    error: str  # over the gradient
    place: str
    cause: str
    measured: str
    caught: str  # an error of the gradient that would have been


def rows(report: Report) -> list[Row]:
    """One a parameter, the loss and the calls too, worst first."""
    return sorted(_rows(report), key=lambda row: WORST_FIRST.index(row.verdict))


def _rows(report: Report) -> Iterator[Row]:
    if report.forward is not None:
        f = report.forward
        place = f"{f.loss:.9g}, reference {f.reference:.9g}"
        caught = f"{f.tolerance:.1e}"
        yield Row("the loss", f.verdict, "", place, "", "beside the reference", caught)
    for p in report.parameters.values():
        cause = p.note or ""
        if p.verdict == FAIL:
            cause = p.cause or "cause unknown"
        place = f"{p.place}; {p.where}" if p.place else p.where or ""
        error = "" if p.error is None or not math.isfinite(p.error) else f"{p.error:.1e}"
        yield Row(p.name, p.verdict, error, place, cause, p.measured, _caught(p))
    for sentence in report.calls:
        yield Row("the calls", FAIL, "", "", sentence, "other calls", "")


def _caught(p: ParameterReport) -> str:
    if p.verdict == FAIL:
        return ""
    if math.isfinite(p.relative_bound):
        return f"{p.relative_bound:.1e} of it"
    return f"{p.bound:.1e}" if math.isfinite(p.bound) else "none"


def head(report: Report) -> str:
    """The first line."""
    return str(report).partition("\n")[0]


TITLES = Row(
    "", "verdict", "error / gradient", "worst entry; where", "cause", "measured by", "caught"
)


def terminal(report: Report) -> "Table":
    """For a terminal, by rich; only columns that say something."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    told = rows(report)
    kept = [k for k in range(len(TITLES)) if any(row[k] for row in told)]
    table = Table(*(TITLES[k] for k in kept), box=box.SIMPLE_HEAD, title=head(report))
    table.title_justify = "left"
    for row in told:
        cells = [Text(row[k]) for k in kept]
        cells[1].stylize(f"bold {COLOURS.get(row.verdict, UNCERTAIN)}")
        table.add_row(*cells)
    return table


def html(report: Report) -> str:
    """For a notebook."""
    told = rows(report)
    kept = [k for k in range(len(TITLES)) if any(row[k] for row in told)]
    cell = escaping.escape
    lines = [f"<p>{cell(head(report))}</p>", "<table><thead><tr>"]
    lines += [f"<th scope='col'>{cell(TITLES[k])}</th>" for k in kept]
    lines.append("</tr></thead><tbody>")
    for row in told:
        colour = {PASS: "#1a7f37", FAIL: "#cf222e"}.get(row.verdict, "#9a6700")
        cells = [
            f"<td style='text-align: left{f'; color: {colour}; font-weight: bold' * (k == 1)}'>"
            f"{cell(row[k])}</td>"
            for k in kept
        ]
        lines.append(f"<tr>{''.join(cells)}</tr>")
    lines.append("</tbody></table>")
    lines += [f"<p>note: {cell(note)}</p>" for note in report.notes]
    return "\n".join(lines)
