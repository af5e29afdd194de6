"""How often training succeeds, over 2,000 seeds."""

import numpy as np
import pytest

from handgrad import make_problem, train
from handgrad.sweep import Grid, run_sweep
from handgrad.sweep.summary import summarised


def test_the_default_run_reaches_093() -> None:
    assert train(make_problem()).final["val_accuracy"] >= 0.93


@pytest.mark.slow
def test_how_often_training_succeeds() -> None:
    """The share of seeds that reach 0.93: at least what the project says of each network."""
    table = run_sweep(Grid(seeds=2000, hidden=(4, 8, 16), init=("he", "normal:0.1"), every=0))
    share = {(r["hidden"], r["init"]): r["success"] for r in summarised(table.lazy()).to_dicts()}
    expected = {
        (4, "normal:0.1"): 0.261,
        (4, "he"): 0.564,
        (8, "normal:0.1"): 0.812,
        (8, "he"): 0.983,
        (16, "he"): 0.999,
    }
    for key, p in expected.items():
        assert share[key] == pytest.approx(p, abs=4 * np.sqrt(p * (1 - p) / 2000) + 0.005), key
