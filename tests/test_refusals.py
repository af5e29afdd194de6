"""Refusals and ends that are seldom met: each says in one line what must hold."""

from typing import Any, NamedTuple

import numpy as np
import pytest
import torch

import handgrad
from handgrad import BadInput, Config, gradcheck, gradcheck_layer, gradcheck_module, make_problem
from handgrad.exact.numbers import Dual
from handgrad.exercise import Wrong
from handgrad.stages import pytorch_nn_module
from handgrad.verification import verify

X = np.array([1.0, -2.0, 3.0])


def square(p: Any) -> float:
    return float((np.asarray(p) ** 2).sum())


def clashing() -> Any:
    class Layer:
        x = np.ones(3)

        def forward(self, x: Any) -> Any:
            return x * self.x

        def backward(self, dout: Any) -> Any:
            return dout * self.x

    return gradcheck_layer(Layer(), inputs=X, params=["x"])


def module(function: Any, *inputs: Any, **options: Any) -> Any:
    return gradcheck_module(function, [*inputs], **options)


WHOLE = torch.tensor([1, 2])
COMPLEX = torch.ones(2, dtype=torch.complex128)


@pytest.mark.parametrize(
    ("check", "says"),
    [
        (clashing, "x must be an input or a parameter, and is both: rename one"),
        (
            lambda: module(lambda x: (x * x.conj()).real, COMPLEX, vmap=True),
            "vmap must have a dense float input to batch, got none",
        ),
        (
            lambda: module(lambda x: 2.0 * x, WHOLE),
            "there must be a parameter or a finite float input to check, got neither",
        ),
        (
            lambda: module(lambda x: (), torch.from_numpy(X)),
            "module must return a float tensor, or several",
        ),
        (
            lambda: gradcheck(lambda p: square(p[0]) + square(p[1]), [X, X], lambda p: [2 * X]),
            "grads must have 2 entries as params has, got [array",
        ),
        (
            lambda: gradcheck(square, X, lambda p: 2 * p + np.random.default_rng().random()),
            "must be the same in a second call, and is not: fix its randomness",
        ),
        (
            lambda: gradcheck(lambda p: [[1.0], [1.0, 2.0]], X, lambda p: p),
            "loss must return one real number, got",
        ),
        (
            lambda: gradcheck(lambda p: square(p["w"]), {"w": X}, lambda p: {"v": 2 * X}),
            "grads must have the names of params, ['w'], got ['v']",
        ),
    ],
)
def test_one_line_says_what_must_hold(check: Any, says: str) -> None:
    with pytest.raises(BadInput) as error:
        check()
    assert says in str(error.value)
    assert "\n" not in str(error.value)


def test_a_name_that_handgrad_has_not_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'handgrad' has no attribute 'nothing'"):
        _ = handgrad.nothing


class Pair(NamedTuple):
    w: Any
    b: Any


def test_a_named_tuple_of_parameters_stays_one() -> None:
    def loss(p: Pair) -> float:
        return float((p.w**2).sum() + (3 * p.b).sum())

    report = gradcheck(loss, Pair(X, X), lambda p: Pair(2 * p.w, np.full(3, 3.0)))
    assert report.ok
    assert len(report.parameters) == 2


class Product:
    """A callable of which Python cannot tell the arguments, as of many written in C."""

    __signature__ = "none"

    def __call__(self, x: Any, y: Any) -> Any:
        return x * y, (x, y)


def test_a_forward_pass_without_a_signature_names_its_inputs_by_number() -> None:
    def backward(dout: Any, cache: Any) -> Any:
        x, y = cache
        return dout * y, dout * x

    report = gradcheck_layer(Product(), backward, [X, X + 1])
    assert list(report.parameters) == ["input 0", "input 1"]
    assert report.ok


def test_constants_that_differ_from_point_to_point_are_told_as_such() -> None:
    calls = iter(range(10**6))
    seen: dict[bytes, float] = {}

    def grads(p: Any) -> Any:
        return 2 * p + seen.setdefault(p.tobytes(), 1.0 + next(calls))

    (found,) = gradcheck(square, X, grads, seed=1).parameters.values()
    assert found.cause == "it is off by one constant at each point, not the same at all"


@pytest.mark.parametrize(
    ("name", "broken", "says"),
    [
        ("backward", lambda *given: (None, None, None, None), "dW1 is None: nothing reached it"),
        ("sgd", lambda *given: iter(()), "sgd yielded nothing"),
    ],
)
def test_an_engine_that_gives_nothing_is_blamed(name: str, broken: Any, says: str) -> None:
    from engines import copy_of

    engine: Any = copy_of("numpy_manual")
    engine.name = "mine"
    setattr(engine, name, broken)
    found = verify(make_problem(Config(epochs=1, n_train=8, batch_size=4)), [engine])
    assert found.verdict == "not equal"
    assert {c.stage for c in found.failures} == {"mine"}
    assert any(says in c.message for c in found.failures)


def test_an_epoch_that_is_not_in_the_order_is_refused() -> None:
    sampler = pytorch_nn_module.EpochOrder(torch.zeros(2, 3, dtype=torch.int64))
    with pytest.raises(IndexError, match="epoch must be 0 to 1, got 2"):
        sampler.set_epoch(2)


def test_a_wrong_exercise_shows_its_sentence_alone() -> None:
    assert Wrong("dW1 ✗")._render_traceback_() == ["\x1b[31mdW1 ✗\x1b[0m"]


def test_an_exact_number_says_what_it_is() -> None:
    assert repr(+Dual(2, 3)) == "Dual(2, slope=3)"
    assert bool(Dual(0, 1)) is False
