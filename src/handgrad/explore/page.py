"""One HTML file with everything in it, and the same in a notebook's frame."""

import base64
import hashlib
import html
import json
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from handgrad.explore.numbers import numbers, require_page
from handgrad.inputs import require_type
from handgrad.problem import Config, make_problem
from handgrad.verification import Verification, compare_runs

HEIGHT = 7000
"""Pixels of a frame whose page cannot measure itself; where it can, it takes what it needs."""

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<main><h1>Watch backpropagation happen</h1>
<p>This page needs a browser that runs JavaScript modules, and this one does not, or is told not to.
Open the file in a current Chrome, Edge, Firefox or Safari.</p></main>
<script type="application/json" id="data">{data}</script>
<script type="module">{script}</script>
</body>
</html>
"""


def page(verification: Verification, state: str = "") -> str:
    """The page of these runs, as the text of one file that needs no network.

    >>> from handgrad import Config, make_problem, verify
    >>> text = page(verify(make_problem(Config(epochs=2)), ["pytorch_no_autograd"]))
    >>> text.count("<script")
    2

    Args:
        verification: from `verify`.
        state: what the page's button "Copy the state" gave, to open the same view.

    Returns:
        HTML, of a few hundred kilobytes.

    Raises:
        BadInput: for more than 128 units or 10,000 samples.
    """
    require_type("verification", verification, Verification)
    require_page(verification.problem.config)
    carried = numbers(verification, state)
    style, script = _bundled("page.css"), _bundled("page.js")
    return PAGE.format(
        policy=f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'",
        title=html.escape(f"handgrad: {carried['title']}"),
        style=style,
        # In a script nothing but "</script" and "<!--" is special: JSON has another way to say "<".
        data=json.dumps(carried, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c"),
        script=script,
    )


def _bundled(name: str) -> str:
    """What `make explorer` built; no text of it ends its own element."""
    text = (files("handgrad.explore") / name).read_text(encoding="utf-8").strip()
    return text.replace("</script", "<\\/script").replace("</style", "<\\/style")


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


@dataclass(frozen=True)
class Frame:
    """The page in a notebook's cell: what is shown when it is the cell's last value.

    >>> Frame("<p>here</p>").page
    '<p>here</p>'

    Attributes:
        page: the text of the file.
    """

    page: str

    def _repr_html_(self) -> str:
        source = html.escape(self.page, quote=True)
        return (
            f'<iframe srcdoc="{source}" title="handgrad" width="100%" height="{HEIGHT}" '
            'style="border:0" allow="clipboard-write"></iframe>'
        )


def show(*, state: str = "", device: str = "cpu", **config: Any) -> Frame:
    """Train the stages, and show the page in a notebook.

    >>> show(epochs=1)._repr_html_()[:16]
    '<iframe srcdoc="'

    Args:
        state: what the page's button "Copy the state" gave, to open the same view again.
        device: where tensors live.
        config: the fields of `Config`.

    Returns:
        A `Frame`.

    Raises:
        BadInput: as `Config`, and for more than 128 units or 10,000 samples.
    """
    require_type("state", state, str)
    problem = make_problem(Config(**config))
    require_page(problem.config)
    return Frame(page(compare_runs(problem, device=device), state))
