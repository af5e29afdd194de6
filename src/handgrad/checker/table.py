"""What a check found as a table: for a terminal, and for a notebook."""

import html as escaping
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from rich.table import Table

COLOURS = {"pass": ("green", "#1a7f37"), "fail": ("red", "#cf222e")}
UNCERTAIN = ("yellow", "#9a6700")
"""In a terminal, and in a page."""


class Row(NamedTuple):
    """What is told of one parameter; the fields are the columns."""

    what: str
    verdict: str
    error: str  # over the gradient
    place: str
    cause: str
    measured: str
    caught: str  # an error of the gradient that would have been


TITLES = Row(
    "",
    "verdict",
    "error / gradient",
    "worst entry; where",
    "cause",
    "measured by",
    "would see an error of",
)


def terminal(title: str, rows: Sequence[Row]) -> "Table":
    """For a terminal, by rich."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    kept = _said(rows)
    table = Table(*(TITLES[k] for k in kept), box=box.SIMPLE_HEAD, title=title)
    table.title_justify = "left"
    for row in rows:
        cells = [Text(row[k]) for k in kept]
        cells[1].stylize(f"bold {COLOURS.get(row.verdict, UNCERTAIN)[0]}")
        table.add_row(*cells)
    return table


def html(title: str, rows: Sequence[Row], notes: Sequence[str]) -> str:
    """For a notebook."""
    cell, kept = escaping.escape, _said(rows)
    lines = [f"<p>{cell(title)}</p>", "<table><thead><tr>"]
    lines += [f"<th scope='col'>{cell(TITLES[k])}</th>" for k in kept]
    lines.append("</tr></thead><tbody>")
    for row in rows:
        bold = f"; color: {COLOURS.get(row.verdict, UNCERTAIN)[1]}; font-weight: bold"
        styles = [f"text-align: left{bold if k == 1 else ''}" for k in kept]
        cells = (
            f"<td style='{style}'>{cell(row[k])}</td>"
            for k, style in zip(kept, styles, strict=True)
        )
        lines.append(f"<tr>{''.join(cells)}</tr>")
    lines.append("</tbody></table>")
    return "\n".join([*lines, *(f"<p>note: {cell(note)}</p>" for note in notes)])


def _said(rows: Sequence[Row]) -> list[int]:
    """The columns that say something."""
    return [k for k in range(len(TITLES)) if any(row[k] for row in rows)]
