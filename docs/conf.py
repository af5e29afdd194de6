"""How `make docs` builds the site: from these pages, the docstrings and the executed notebooks."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx

import handgrad

HERE = Path(__file__).parent
ROOT = HERE.parent

project, author, version = "handgrad", "the handgrad contributors", handgrad.__version__
copyright = "the handgrad contributors"
extensions = ["sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode", "myst_nb"]
exclude_patterns = ["_build", "command_options.md"]
nitpicky = True
# Names of NumPy, PyTorch and the standard library in signatures: their pages are not on this disk.
# What a name of ours returns and nobody makes has no entry of its own.
unlisted = r"checker\.report\.ForwardReport|checker\.table\.Row|problem\.Order|sweep\.grid\.\w+"
nitpick_ignore_regex = [("py:.*", r"(?!handgrad).*"), ("py:.*", rf"handgrad\.({unlisted})")]
default_role = "code"  # one backtick is enough in a docstring

myst_enable_extensions = ["dollarmath", "attrs_inline", "colon_fence"]
myst_heading_anchors = 3
suppress_warnings = ["mystnb.unknown_mime_type"]
nb_execution_mode = "off"  # they are committed as they ran
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_format = "short"
autodoc_typehints_description_target = "documented"
napoleon_use_rtype = False
napoleon_use_ivar = True

html_theme = "furo"
html_title = "handgrad"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_math_renderer = "mathml"
html_show_sphinx = html_show_sourcelink = False
html_theme_options: dict[str, Any] = {"top_of_page_buttons": []}


def gather(app: Sphinx, _config: object) -> None:
    """Bring in what lies outside this folder, or is made by a program."""
    notebooks, page = HERE / "notebooks", HERE / "_static" / "page.html"
    shutil.rmtree(notebooks, ignore_errors=True)
    shutil.copytree(ROOT / "notebooks", notebooks, ignore=shutil.ignore_patterns("exercises"))
    for path in notebooks.glob("*.ipynb"):
        path.write_text(json.dumps(folded(json.loads(path.read_text()))))
    run = [sys.executable, "-m", "handgrad", "explore", "--out", str(page)]
    subprocess.run(run, check=True, stdout=subprocess.DEVNULL)
    run = [sys.executable, "-m", "typer", "handgrad.cli", "utils", "docs", "--name", "handgrad"]
    text = subprocess.run(run, check=True, capture_output=True, text=True).stdout
    (HERE / "command_options.md").write_text(text.replace("# `", "## `"))


def folded(notebook: dict[str, Any]) -> dict[str, Any]:
    """A cell that is folded in Jupyter shows its title alone here too."""
    for cell in notebook["cells"]:
        if cell["metadata"].get("jupyter", {}).get("source_hidden"):
            title = "".join(cell["source"]).split("\n")[0].removeprefix("# @title ")
            cell["metadata"] |= {"tags": ["hide-input"], "mystnb": {"code_prompt_show": title}}
    return notebook


def plain_bars(
    _app: Sphinx, _what: str, _name: str, _it: object, _how: object, lines: list[str]
) -> None:
    """|f − y| is a size in a docstring, and no substitution."""
    lines[:] = [line if ">>>" in line else line.replace("|", r"\|") for line in lines]


def setup(app: Sphinx) -> None:
    def visit(self: object, node: nodes.Element, display: str) -> None:
        self.body.append(convert(node.astext(), display=display))  # type: ignore[attr-defined]
        raise nodes.SkipNode

    app.add_html_math_renderer(
        "mathml",
        inline_renderers=(lambda self, node: visit(self, node, "inline"), None),
        block_renderers=(lambda self, node: visit(self, node, "block"), None),
    )
    app.connect("config-inited", gather)
    app.connect("autodoc-process-docstring", plain_bars)
