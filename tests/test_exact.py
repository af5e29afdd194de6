"""The network in fractions: exact in floating point, and on a kink on purpose."""

from fractions import Fraction

import numpy as np
import pytest

from handgrad import STAGES
from handgrad.exact import hand_worked as exact
from handgrad.parity import GRADIENTS, Point, values
from handgrad.problem import Parameters
from handgrad.stages import load


@pytest.mark.parametrize("name", STAGES)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_every_stage_agrees_to_the_last_bit(name: str, dtype: str) -> None:
    w = exact.worked()
    x, y = (a[: exact.BATCH_SIZE].astype(dtype) for a in (w.x, w.y))
    params = Parameters(*(p.astype(dtype) for p in w.params))
    found = values(load(name), Point(x, y, params))
    for quantity, expected in (w.forward | dict(zip(GRADIENTS, w.gradients, strict=True))).items():
        assert np.array_equal(found[quantity], expected), quantity


def test_one_sample_sits_on_a_kink_and_every_unit_is_on_and_off() -> None:
    a1 = exact.worked().forward["a1"]
    assert a1[0, 0] == 0
    assert (a1 > 0).any(axis=0).all()
    assert (a1 <= 0).any(axis=0).all()


def test_no_gradient_is_zero_where_a_zero_could_hide_a_mistake() -> None:
    for gradient in exact.worked().gradients:
        assert (gradient != 0).all()


def test_the_fractions_are_the_derivative_of_their_own_loss() -> None:
    """Off the kink, a central difference of a parabola is exact, in fractions to the last digit."""
    step = Fraction(1, 1024)
    rows = slice(1, exact.BATCH_SIZE)  # without the sample on the kink
    start = Parameters(*map(exact._exact, (exact.W1, exact.B1, exact.W2, exact.B2)))

    def loss(params: Parameters) -> Fraction:
        pairs = zip(exact.X[rows], exact.Y[rows], strict=True)
        squares = [(exact._prediction(x, params) - y) ** 2 for x, y in pairs]
        return sum(squares, Fraction(0)) / (2 * len(squares))

    gradients = exact._mean_gradients(exact.X[rows], exact.Y[rows], start)
    for name in start._fields:
        for index in np.ndindex(getattr(start, name).shape):
            ends = []
            for move in (step, -step):
                params = start.copy()
                getattr(params, name)[index] += move
                ends.append(loss(params))
            assert getattr(gradients, name)[index] == (ends[0] - ends[1]) / (2 * step)
