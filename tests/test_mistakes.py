"""The catalogue: right lines that are right, wrong ones that are wrong, a sentence for each."""

import numpy as np
import pytest

from handgrad.mistakes import CATALOGUE, RIGHT, Gradients, Mistake, backward, forward
from handgrad.stages.numpy_manual import backward as stage_one

Stack = tuple[list[np.ndarray], list[np.ndarray], np.ndarray, np.ndarray]


def stack(*widths: int, B: int = 7, seed: int = 0) -> Stack:
    rng = np.random.default_rng(seed)
    pairs = list(zip(widths[1:], widths[:-1], strict=True))
    Ws = [rng.standard_normal(pair) for pair in pairs]
    bs = [rng.standard_normal(n_out) for n_out, _ in pairs]
    return Ws, bs, rng.standard_normal((B, widths[0])), rng.standard_normal((B, 1))


def same(one: Gradients, other: Gradients) -> bool:
    pairs = zip([*one[0], *one[1]], [*other[0], *other[1]], strict=True)
    return all(a.shape == b.shape and np.allclose(a, b, rtol=1e-12, atol=0) for a, b in pairs)


def test_the_right_lines_are_stage_ones() -> None:
    (W1, W2), (b1, b2), x, y = stack(2, 5, 1)
    (dW1, dW2), (db1, db2) = backward([W1, W2], [b1, b2], x, y)
    found = (dW1, db1, dW2, db2)
    for one, other in zip(found, stage_one(x, y, W1, b1, W2, b2), strict=True):
        assert abs(one - other).max() < 1e-14


def test_the_right_lines_are_the_derivative_in_a_deeper_stack() -> None:
    Ws, bs, x, y = stack(3, 5, 4, 1)

    def loss() -> float:
        return float(0.5 * ((forward(Ws, bs, x)[0][-1] - y) ** 2).mean())

    dWs, dbs = backward(Ws, bs, x, y)
    for parameters, gradients in ((Ws, dWs), (bs, dbs)):
        for p, dp in zip(parameters, gradients, strict=True):
            for index in np.ndindex(p.shape):
                was, ends = p[index], []
                for step in (1e-5, -1e-5):
                    p[index] = was + step
                    ends.append(loss())
                p[index] = was
                assert dp[index] == pytest.approx((ends[0] - ends[1]) / 2e-5, abs=1e-8)


@pytest.mark.parametrize("mistake", CATALOGUE.values(), ids=CATALOGUE)
def test_a_mistake_changes_one_line_and_the_gradients(mistake: Mistake) -> None:
    assert mistake.link in RIGHT
    assert mistake.line != mistake.right
    assert mistake.sentence.endswith(".")
    Ws, bs, x, y = stack(3, 4, 4, 1)
    x[0], bs[0] = 0, 0 * bs[0]  # every unit of the first layer sits on its kink
    assert mistake.layers(3)
    layer = mistake.layers(3)[0]
    wrong = mistake.backward(layer, batch_size=8)
    wrong(Ws, bs, x, y)  # some mistakes need a call before
    right = backward(Ws, bs, x, y)
    assert not same(wrong(Ws, bs, x, y), right)
    assert same(backward(Ws, bs, x, y), right)  # the catalogue itself stays right


@pytest.mark.parametrize("mistake", CATALOGUE.values(), ids=CATALOGUE)
def test_a_mistake_leaves_the_layers_above_it_right(mistake: Mistake) -> None:
    Ws, bs, x, y = stack(3, 4, 4, 1)
    layer = mistake.layers(3)[0]
    wrong, right = mistake.backward(layer)(Ws, bs, x, y), backward(Ws, bs, x, y)
    for k in range(layer + 1, 3):
        assert np.array_equal(wrong[0][k], right[0][k])
        assert np.array_equal(wrong[1][k], right[1][k])


def test_layers_says_where_a_mistake_can_stand() -> None:
    assert CATALOGUE["factor 2"].layers(3) == (2,)
    assert CATALOGUE["sign of dW"].layers(3) == (0, 1, 2)
    assert CATALOGUE["ReLU left out"].layers(3) == (1, 2)
    assert CATALOGUE["dW of the layer above"].layers(3) == (0, 1)
    assert CATALOGUE["dW from a instead of h"].layers(2) == (1,)


def test_the_catalogue_covers_what_it_must() -> None:
    lines = [m.line for m in CATALOGUE.values()]
    assert len(set(lines)) == len(lines) >= 35
