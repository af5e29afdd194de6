"""A gradient checker for anyone's forward and backward pass."""

from handgrad.checker.asserting import assert_gradients
from handgrad.checker.functions import gradcheck
from handgrad.checker.layer import gradcheck_layer
from handgrad.checker.pytorch import gradcheck_module
from handgrad.checker.report import ParameterReport, Report
from handgrad.checker.stack import Stack
from handgrad.errors import BadInput

__all__ = [
    "BadInput",
    "ParameterReport",
    "Report",
    "Stack",
    "assert_gradients",
    "gradcheck",
    "gradcheck_layer",
    "gradcheck_module",
]
