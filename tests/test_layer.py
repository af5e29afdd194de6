"""`gradcheck_layer`: layers pass as people write them, and their mistakes are found."""

import copy
import re
from collections.abc import Callable
from typing import Any

import layers as written
import numpy as np
import pytest
from layers import Hidden, InDicts, Linear, Listed, Net, OtherNames, Static

from handgrad import gradcheck_layer
from handgrad.errors import BadInput

Array = np.ndarray
Made = tuple[Any, Any, list[Any], dict[str, Any]]


def functions(name: str, inputs: list[Any]) -> Made:
    forward, backward = (getattr(written, f"{name}_{way}") for way in ("forward", "backward"))
    return forward, backward, inputs, {}


def normal(rng: np.random.Generator, *shape: int) -> Array:
    return rng.standard_normal(shape)


def made(rng: np.random.Generator) -> dict[str, Made]:
    """Every layer with inputs of its own."""
    x = normal(rng, 4, 3)
    return {
        "affine": functions("affine", [normal(rng, 4, 3, 2), normal(rng, 6, 5), normal(rng, 5)]),
        "relu": functions("relu", [x]),
        "batchnorm": functions("batchnorm", [normal(rng, 7, 3), x[0], x[1], {"mode": "train"}]),
        "conv": functions(
            "conv",
            [normal(rng, 2, 3, 5, 4), normal(rng, 2, 3, 3, 3), x[0, :2], {"stride": 1, "pad": 1}],
        ),
        "lstm": functions(
            "lstm",
            [x, *normal(rng, 2, 4, 5), normal(rng, 3, 20), normal(rng, 5, 20), normal(rng, 20)],
        ),
        "dropout": functions("dropout", [x, 0.6]),
        "nested": functions("nested", [x, {"W": normal(rng, 3, 2), "b": x[0, :2], "name": "top"}]),
        "Linear": (Linear(rng), None, [x], {}),
        "InDicts": (InDicts, None, [x], {}),
        "OtherNames": (OtherNames(rng), None, [x], {"grads": {"scale": "out.s"}}),
        "a function": (OtherNames(rng), None, [x], {"grads": lambda own: {"scale": own.out["s"]}}),
        "Static": (Static, None, [x], {}),
        "Net": (Net(rng), None, [x], {}),
        "Listed": (Listed(rng), None, [normal(rng, 3, 2)], {}),
    }


NAMES = list(made(np.random.default_rng(0)))


def check(layer: Made, **options: Any) -> Any:
    forward, backward, inputs, own = layer
    return gradcheck_layer(forward, backward, inputs, **own, **options)


@pytest.mark.parametrize("name", NAMES)
def test_a_right_layer_passes_as_it_stands(name: str) -> None:
    for seed in range(12):
        report = check(made(np.random.default_rng(seed))[name], seed=seed)
        assert report.ok, f"{seed}: {report}"
        assert not report.calls


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_many_draws_and_float32(name: str) -> None:
    for seed in range(40):  # a hundred were run, and passed
        layer = made(np.random.default_rng(1000 + seed))[name]
        report = check(layer, seed=seed)
        assert report.ok, f"{seed}: {report}"
    forward, backward, inputs, own = layer
    if backward is None:  # an object has a dtype of its own
        return
    narrow = [
        {k: v.astype("f4") if isinstance(v, np.ndarray) else v for k, v in a.items()}
        if isinstance(a, dict)
        else a.astype("f4")
        if isinstance(a, np.ndarray)
        else a
        for a in inputs
    ]
    for seed in range(20):
        report = check((forward, backward, narrow, own), seed=seed)
        assert report.verdict != "fail", f"{seed}: {report}"


def test_the_names_are_the_arguments_and_what_is_kept_where() -> None:
    layers = made(np.random.default_rng(0))
    assert list(check(layers["lstm"]).parameters) == ["x", "prev_h", "prev_c", "Wx", "Wh", "b"]
    assert list(check(layers["nested"]).parameters) == ["x", "theta.W", "theta.b"]
    assert list(check(layers["InDicts"]).parameters) == ["x", "params.W", "params.b"]
    assert list(check(layers["Linear"]).parameters) == ["x", "W", "b"]
    within = ["x", "layers[0].W", "layers[0].b", "last.params[0]", "last.params[1]"]
    assert list(check(layers["Net"]).parameters) == within


def test_what_a_second_backward_pass_does_is_told() -> None:
    layers = made(np.random.default_rng(0))
    adds = "a second backward pass adds to the gradients of W, b: clear them before"
    replaces = "a second backward pass replaces the gradients of params.W, params.b"
    assert adds in check(layers["Linear"]).notes
    assert replaces in check(layers["InDicts"]).notes
    assert "velocity: not checked: forward does not use it" in check(layers["Linear"]).notes
    used = Linear(np.random.default_rng(0))
    used.backward(used.forward(np.ones((2, 3))))  # its gradients are not 0 when it is checked
    before = copy.deepcopy(vars(used))
    assert gradcheck_layer(used, inputs=np.ones((2, 3)) / 3).ok
    assert all(np.array_equal(value, before[key]) for key, value in vars(used).items())


def test_a_polynomial_layer_is_proved() -> None:
    report = check(made(np.random.default_rng(0))["affine"])
    assert any(note.startswith("proved exactly at 3 points") for note in report.notes)


def test_the_callers_random_state_stays() -> None:
    np.random.seed(5)
    wanted = np.random.rand()
    np.random.seed(5)
    assert check(made(np.random.default_rng(0))["dropout"]).ok
    assert np.random.rand() == wanted


def changed(name: str, change: Callable[[list[Any], Any], Any]) -> Made:
    """The layer, with what backward returns changed: (gradients, upstream gradients) → others."""
    forward, backward, inputs, own = made(np.random.default_rng(3))[name]

    def wrong(dout: Array, cache: Any) -> Any:
        given = backward(dout, cache)
        return change(list(given) if isinstance(given, tuple) else [given], dout)

    return forward, wrong, inputs, own


@pytest.mark.parametrize(
    ("name", "change", "where"),
    [
        ("affine", lambda g, d: (g[0], g[1], d.mean(axis=0)), "b"),
        ("affine", lambda g, d: (g[0], -g[1], g[2]), "w"),
        ("affine", lambda g, d: (g[0] * (abs(d).sum() > 0), g[1], len(d) * g[2]), "b"),
        ("relu", lambda g, d: d, "x"),
        ("batchnorm", lambda g, d: (g[0] - g[0].mean() + 1e-3, *g[1:]), "x"),
        ("batchnorm", lambda g, d: (g[0], g[1], 1.001 * g[2]), "beta"),
        ("conv", lambda g, d: (g[0], g[1][:, :, ::-1], g[2]), "w"),
        ("dropout", lambda g, d: 0.6 * g[0], "x"),
    ],
)
def test_a_wrong_gradient_is_found(name: str, change: Any, where: str) -> None:
    for seed in range(5):
        report = check(changed(name, change), seed=seed)
        assert report.verdict == "fail"
        assert report[where].verdict == "fail"
        assert sum(p.verdict == "fail" for p in report.parameters.values()) == 1


def test_a_forgotten_output_is_found() -> None:
    """The upstream gradient of the second output counts."""
    forward, backward, inputs, _ = made(np.random.default_rng(3))["lstm"]

    def wrong(dnext_h: Array, dnext_c: Array, cache: Any) -> Any:
        return backward(dnext_h, 0 * dnext_c, cache)

    report = gradcheck_layer(forward, wrong, inputs)
    assert {n for n, p in report.parameters.items() if p.verdict == "fail"} >= {"x", "prev_c", "Wx"}


def test_a_backward_that_is_not_linear_is_named() -> None:
    drawn: list[Array] = []

    def backward(dout: Array, x: Array) -> Array:
        drawn.append(dout.copy())
        return dout if np.array_equal(dout, drawn[0]) else 1.01 * dout

    report = gradcheck_layer(lambda x: (1.0 * x, x), backward, [np.ones((3, 2)) / 3])
    assert "backward is not linear in its upstream gradient, at x" in report.calls
    assert report.verdict == "fail"


def test_what_is_changed_in_place_is_named() -> None:
    def into_dout(dout: Array, x: Array) -> Array:
        dout *= x > 0
        return dout

    def into_x(dout: Array, x: Array) -> Array:
        x[x <= 0] = 0
        return dout * (x > 0)

    x = np.random.default_rng(0).standard_normal((3, 4))
    for backward, says in (
        (into_dout, "backward changed its upstream gradient"),
        (into_x, "x is changed, which others may still read"),
    ):
        report = gradcheck_layer(written.relu_forward, backward, [x])
        assert any(sentence.startswith(says) for sentence in report.calls), report


def test_a_cache_that_is_spoiled_or_let_go_is_told() -> None:
    def spoils(dout: Array, cache: list[Array]) -> Array:
        cache[0] = cache[0] * 2
        return cache[0] * dout

    x = np.random.default_rng(0).standard_normal((3, 4))
    report = gradcheck_layer(lambda x: (x**2, [1.0 * x]), spoils, [x])
    assert report["x"].verdict == "pass"
    assert report.calls == (
        "a second backward pass after one forward pass: the gradient of x is another one",
    )
    let_go = gradcheck_layer(lambda x: (x**2, [x]), lambda d, cache: 2 * cache.pop() * d, [x])
    assert let_go.ok
    assert any(note.startswith("IndexError in a second backward") for note in let_go.notes)


def test_an_input_without_a_gradient_is_named() -> None:
    def backward(dout: Array, cache: Any) -> Any:
        return (None, *written.affine_backward(dout, cache)[1:])

    forward, _, inputs, _ = made(np.random.default_rng(0))["affine"]
    report = gradcheck_layer(forward, backward, inputs)
    assert report.ok
    assert list(report.parameters) == ["w", "b"]
    assert "x: not checked: backward returns no gradient" in report.notes


class Unfound(Linear):
    """Its gradient of W is kept where nobody looks."""

    def __init__(self, rng: np.random.Generator) -> None:
        super().__init__(rng)
        del self.dW

    def backward(self, dout: Array) -> Array:
        self.somewhere = self.x.T @ dout
        self.db = dout.sum(axis=0)
        return dout @ self.W.T


def two(x: Array) -> Any:
    return x + 1, x - 1


X = np.ones((2, 3)) / 3
REFUSED: list[tuple[Callable[[], Any], str]] = [
    (
        lambda: gradcheck_layer(two, lambda da, db: da + db, X),
        "it must be told whether forward's last item is an output",
    ),
    (lambda: gradcheck_layer(two, lambda *d: d[0], X), "but takes any arguments where forward ret"),
    (
        lambda: gradcheck_layer(two, lambda d: d, X),
        "takes 1 arguments where forward",
    ),
    (
        lambda: gradcheck_layer(np.tanh, lambda d, c: d, X),
        "takes 2 arguments where forward",
    ),
    (lambda: gradcheck_layer(two, lambda a, b: a, X, outputs=3), "forward must return 3 outputs"),
    (lambda: gradcheck_layer(two, lambda a, b: a, X, outputs=0), "outputs must be a whole number"),
    (lambda: gradcheck_layer(3, inputs=X), "a layer must have forward and backward, got 3"),
    (lambda: gradcheck_layer(Linear, inputs=X), "a class must be made without arguments, but"),
    (lambda: gradcheck_layer(np.tanh, lambda d: d, X, params=["w"]), "params and grads are for an"),
    (lambda: gradcheck_layer(lambda n: n, lambda d: d, [1]), "there must be a float array with a"),
    (lambda: gradcheck_layer(Static, inputs=[X], outputs=None, grads={}), "params and grads are"),
    (
        lambda: gradcheck_layer(written.affine_forward, lambda d, c: d, [X, X.T, X[0, :2]]),
        "backward must return a gradient for each of x, w, b (None where it computes none)",
    ),
    (
        lambda: gradcheck_layer(written.affine_forward, lambda d, c: (d, d), [X, X.T, X[0, :2]]),
        "got 2 gradients",
    ),
    (
        lambda: gradcheck_layer(Unfound(np.random.default_rng(0)), inputs=X),
        "the gradient of W must be found after backward, and is not: say where it is, as in grads=",
    ),
    (
        lambda: gradcheck_layer(Hidden(np.random.default_rng(0)), inputs=X),
        "the gradient of store.scale must be found after backward, and is not",
    ),
    (
        lambda: gradcheck_layer(Linear(np.random.default_rng(0)), inputs=X, params=["U"]),
        "the layer must have U, and has not",
    ),
    (
        lambda: gradcheck_layer(Linear(np.random.default_rng(0)), inputs=X, params=["forward"]),
        "params: forward must be a float array, got",
    ),
]


@pytest.mark.parametrize(("call", "says"), REFUSED, ids=[says for _, says in REFUSED])
def test_what_cannot_be_told_is_refused_in_one_line(call: Callable[[], Any], says: str) -> None:
    with pytest.raises(BadInput, match=re.escape(says)) as error:
        call()
    assert "\n" not in str(error.value)


def test_two_outputs_of_one_shape_are_told_apart_by_the_caller() -> None:
    assert gradcheck_layer(two, lambda da, db: da + db, X, outputs=2).ok
    assert gradcheck_layer(two, lambda da, db: 1.0 * da, X, outputs=1).ok  # the second is a cache
    assert not gradcheck_layer(two, lambda da, db: 1.0 * da, X, outputs=2).ok


def test_a_float32_step_in_backward_is_no_second_gradient() -> None:
    """Rounding of the step is measured before a small difference is called one."""

    def forward(x: Array) -> Any:
        return np.tanh(x), np.tanh(x)

    def backward(dout: Array, out: Array) -> Array:
        return (dout * (1 - out**2)).astype(np.float32).astype(float)

    def squared(dout: Array, out: Array) -> Array:
        return backward(dout + 1e-3 * dout**2, out)

    x = np.random.default_rng(0).standard_normal((3, 4))
    for seed in range(20):
        assert gradcheck_layer(forward, backward, x, seed=seed), seed
    assert "not linear" in gradcheck_layer(forward, squared, x, seed=0).calls[0]


def test_a_constant_that_is_added_is_not_linear() -> None:
    def backward(dout: Array, x: Array) -> Array:
        return 2 * x * dout + 1

    report = gradcheck_layer(lambda x: (x**2, x), backward, np.arange(1.0, 4), seed=0)
    assert "backward is not linear in its upstream gradient, at x" in report.calls


def test_causes_that_show_in_the_outputs() -> None:
    """A softmax with its diagonal alone; an upsampling that slices."""

    def softmax(x: Array) -> Any:
        e = np.exp(x - x.max(axis=1, keepdims=True))
        p = e / e.sum(axis=1, keepdims=True)
        return p, p

    x = np.random.default_rng(0).standard_normal((3, 4))
    report = gradcheck_layer(softmax, lambda dout, p: dout * p * (1 - p), x, seed=0)
    assert report["x"].cause == "only the diagonal of its Jacobian is used"
    report = gradcheck_layer(
        lambda x: (x.repeat(2, axis=1), None), lambda dout, cache: dout[:, ::2], x, seed=0
    )
    assert "only the first one counts" in str(report["x"].cause)
