"""A gradient checker for anyone's forward and backward pass."""

import sys
from types import ModuleType
from typing import Any

from handgrad.gradcheck.check import assert_gradients, gradcheck
from handgrad.gradcheck.report import ParameterReport, Refusal, Report
from handgrad.gradcheck.stack import Stack

__all__ = ["ParameterReport", "Refusal", "Report", "Stack", "assert_gradients", "gradcheck"]


class _Callable(ModuleType):
    """The package and its main function have one name, so that importing either gives both."""

    def __call__(self, *arguments: Any, **options: Any) -> Report:
        return gradcheck(*arguments, **options)


sys.modules[__name__].__class__ = _Callable
