"""The gradient check of a file that somebody wrote."""

import runpy
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from handgrad.checker.check import gradcheck
from handgrad.checker.report import Report
from handgrad.errors import BadInput

KINDS = "params, loss and grads (and perhaps activations or reference), or module and inputs"


class UserError(Exception):
    """An exception that the user's own file raised; its text is the traceback within that file."""


def check_file(target: str, **options: Any) -> Report:
    """Check FILE.py, or FILE.py:NAME for a dict, class or object in it with those names.

    Raises `BadInput` where the file does not define what is needed, `UserError` where it raises.
    """
    file, _, name = target.partition(":") if ".py:" in target else (target, "", "")
    path = Path(file)
    if not path.is_file():
        raise BadInput(f"{file} must be a Python file that exists")
    try:
        found: Any = runpy.run_path(str(path))
        if name:
            if name not in found:
                raise BadInput(f"{file} must define {name}, and does not")
            found = found[name]
            found = found if isinstance(found, Mapping) else vars(found)
        return _check(file, found, options)
    except BadInput:
        raise
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)
        theirs = [f for f in frames if f.filename == str(path)]
        if not theirs and not isinstance(error, SyntaxError):
            raise  # ours
        text = traceback.format_list(theirs) + traceback.format_exception_only(error)
        raise UserError("".join(text)) from None


def _check(file: str, found: Mapping[str, Any], options: dict[str, Any]) -> Report:
    optional = ("activations", "structure", "reference")
    options |= {key: found[key] for key in optional if key in found}
    if {"params", "loss", "grads"} <= set(found):
        own = {key: found[key] for key in ("params", "loss", "grads")}
        return gradcheck(**own, **options)
    if {"module", "inputs"} <= set(found):
        from handgrad.checker.pytorch import gradcheck_module

        return gradcheck_module(found["module"], found["inputs"], **options)
    raise BadInput(f"{file} must define {KINDS}")
