"""A gradient check as a test of a suite: `pytest examples/test_gradients.py`.

handgrad's plugin gives each check a seed of the test's name, and a failing test shows it.
`--gradcheck-seed=random` draws afresh.
"""

import numpy as np
import pytest

from handgrad import assert_gradients


def gelu(x):
    """x Φ(x), by its approximation with tanh."""
    t = np.tanh(0.7978845608 * (x + 0.044715 * x**3))
    return 0.5 * x * (1 + t), (x, t)


def gelu_backward(dout, cache):
    x, t = cache
    inner = 0.7978845608 * (1 + 3 * 0.044715 * x**2)
    return dout * (0.5 * (1 + t) + 0.5 * x * (1 - t**2) * inner)


@pytest.mark.gradcheck(points=5)
@pytest.mark.parametrize("shape", [(7,), (3, 4)])
def test_gelu(shape):
    assert_gradients(gelu, gelu_backward, np.random.default_rng(0).standard_normal(shape))


def test_a_mistake_is_seen():
    with pytest.raises(AssertionError, match="its sign is wrong"):
        assert_gradients(gelu, lambda d, cache: -gelu_backward(d, cache), np.array([0.5, -1.0]))
