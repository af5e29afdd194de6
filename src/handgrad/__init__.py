"""handgrad: backpropagation you can prove."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from handgrad.checker import assert_gradients as assert_gradients
    from handgrad.checker import gradcheck as gradcheck
    from handgrad.checker import gradcheck_layer as gradcheck_layer
    from handgrad.checker import gradcheck_module as gradcheck_module
    from handgrad.comparison import Comparison as Comparison
    from handgrad.errors import BadInput as BadInput
    from handgrad.parity import Agreement as Agreement
    from handgrad.parity import agreement as agreement
    from handgrad.problem import Config as Config
    from handgrad.problem import Parameters as Parameters
    from handgrad.problem import Problem as Problem
    from handgrad.problem import make_problem as make_problem
    from handgrad.stages import STAGES as STAGES
    from handgrad.stages import Stage as Stage
    from handgrad.sweep import Grid as Grid
    from handgrad.sweep import run_sweep as run_sweep
    from handgrad.training import Run as Run
    from handgrad.training import train as train
    from handgrad.verification import Verification as Verification
    from handgrad.verification import verify as verify

__version__ = "0.1.0"

# A name is imported when it is first asked for (scientific-python.org, SPEC 1).
_HOMES = {
    "checker": ("assert_gradients", "gradcheck", "gradcheck_layer", "gradcheck_module"),
    "comparison": ("Comparison",),
    "errors": ("BadInput",),
    "parity": ("Agreement", "agreement"),
    "problem": ("Config", "Parameters", "Problem", "make_problem"),
    "stages": ("STAGES", "Stage"),
    "sweep": ("Grid", "run_sweep"),
    "training": ("Run", "train"),
    "verification": ("Verification", "verify"),
}
__all__ = [name for names in _HOMES.values() for name in names]


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            from handgrad.extras import needed_for

            with needed_for(name):
                return getattr(import_module(f"handgrad.{home}"), name)
    if name == "explore":
        return import_module("handgrad.explore")
    raise AttributeError(f"module 'handgrad' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
