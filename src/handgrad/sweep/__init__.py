"""Thousands of trainings at once, so that "it trains" becomes a distribution."""

from handgrad.sweep.grid import Grid
from handgrad.sweep.run import run_sweep

__all__ = ["Grid", "run_sweep"]
