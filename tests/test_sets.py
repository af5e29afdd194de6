"""`gradcheck(…, project=…)`: parameters that live in a set, flat or curved."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from handgrad import gradcheck
from handgrad.errors import BadInput

Array = np.ndarray


def simplex(p: Array) -> Array:
    return p / p.sum()


def symmetric(a: Array) -> Array:
    return (a + a.T) / 2


def orthogonal(q: Array) -> Array:
    u, _, v = np.linalg.svd(q)
    return u @ v


def entropy(p: Array) -> float:
    return float((p * np.log(p)).sum())  # not defined where an entry is below 0


def log_det(a: Array) -> float:
    return float(np.linalg.slogdet(a @ a + np.eye(len(a)))[1])


def of_log_det(a: Array) -> Array:
    return 2 * np.linalg.solve(a @ a + np.eye(len(a)), a)


WEIGHTS = np.random.default_rng(9).standard_normal((4, 4))


def cubic(q: Array) -> float:
    return float((q * WEIGHTS).sum() + (q[0] ** 3).sum())


def of_cubic(q: Array) -> Array:
    g = WEIGHTS.copy()
    g[0] += 3 * q[0] ** 2
    return g


def inside(q: Array) -> Array:
    """The part of its gradient that is tangent to the orthogonal matrices."""
    g = of_cubic(q)
    return g - q @ (g.T @ q + q.T @ g) / 2


def drawn(seed: int, project: Callable[[Array], Array]) -> Array:
    rng = np.random.default_rng(seed)
    return project(rng.random(5) if project is simplex else rng.standard_normal((4, 4)))


SETS: list[tuple[Any, Any, Any]] = [
    (entropy, lambda p: np.log(p) + 1, simplex),
    (entropy, np.log, simplex),
    (log_det, of_log_det, symmetric),
    (log_det, lambda a: np.triu(2 * of_log_det(a), 1) + np.diag(np.diag(of_log_det(a))), symmetric),
    (cubic, of_cubic, orthogonal),
    (cubic, inside, orthogonal),
]


@pytest.mark.parametrize(
    "seed", [0, 1, *(pytest.param(s, marks=pytest.mark.slow) for s in range(2, 12))]
)
@pytest.mark.parametrize(("loss", "grads", "project"), SETS)
def test_every_gradient_of_the_set_passes(loss: Any, grads: Any, project: Any, seed: int) -> None:
    report = gradcheck(loss, drawn(seed, project), grads, project=project, seed=seed)
    assert report.verdict == "pass", report


WRONG: list[tuple[Any, Any, Any, str | None]] = [
    (entropy, lambda p: 2 * np.log(p), simplex, "it must be divided by 2"),
    (entropy, lambda p: np.log(p) + p, simplex, None),
    (log_det, lambda a: np.tril(of_log_det(a)), symmetric, None),
    (cubic, lambda q: -of_cubic(q), orthogonal, "its sign is wrong"),
    (cubic, lambda q: of_cubic(q).T, orthogonal, None),
]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("loss", "grads", "project", "why"), WRONG)
def test_a_wrong_gradient_in_a_set_is_found(
    loss: Any, grads: Any, project: Any, why: str | None, seed: int
) -> None:
    report = gradcheck(loss, drawn(seed, project), grads, project=project, seed=seed)
    assert report.verdict == "fail"
    assert why is None or why in str(report["params"].cause)


def test_what_the_set_hides_is_said() -> None:
    p = drawn(0, simplex)
    report = gradcheck(entropy, p, lambda p: np.log(p) + 1, project=simplex, seed=0)
    assert not any("without the set" in note for note in report.notes)
    report = gradcheck(entropy, p, np.log, project=simplex, seed=0)
    assert (
        "params is off by one constant (1 to be added) from the gradient without the set, which no "
        "direction inside it can see"
    ) in report.notes
    report = gradcheck(cubic, drawn(0, orthogonal), inside, project=orthogonal, seed=0)
    assert any(note.startswith("params differs from the gradient") for note in report.notes)


def test_several_parameters_one_of_them_in_a_set() -> None:
    """And one of more numbers than are moved one by one."""
    rng = np.random.default_rng(0)
    p = {"p": drawn(0, simplex), "w": rng.standard_normal((5, 200))}

    def loss(p: Any) -> float:
        return float((p["p"] @ np.tanh(p["w"])).sum())

    def grads(p: Any) -> Any:
        t = np.tanh(p["w"])
        return {"p": t.sum(axis=1), "w": p["p"][:, None] * (1 - t**2)}

    def project(p: Any) -> Any:
        return {"p": simplex(p["p"]), "w": p["w"]}

    assert gradcheck(loss, p, grads, project=project, seed=0)
    wrong = gradcheck(loss, p, lambda p: grads(p) | {"w": -grads(p)["w"]}, project=project, seed=0)
    assert wrong["w"].cause == "its sign is wrong"
    assert wrong["p"].verdict == "pass"


@pytest.mark.parametrize(
    ("params", "options", "says"),
    [
        (np.ones(3), {"project": simplex}, "params must lie in the set, but project moves params"),
        (np.ones(3) / 3, {"project": lambda p: p**2 * 3}, "project must keep what is in the set"),
        (np.ones(3) / 3, {"project": lambda p: p[:2]}, "project must return params in the same"),
        (np.ones(3) / 3, {"project": 1}, "project must be a function"),
        (np.ones(3, np.float32) / 3, {"project": simplex}, "params must be float64 where project"),
        (
            np.ones(3) / 3,
            {"project": simplex, "reference": entropy},
            "project must come with loss, real params and grads",
        ),
    ],
)
def test_what_is_no_projection_is_told(params: Array, options: Any, says: str) -> None:
    with pytest.raises(BadInput, match=says):
        gradcheck(entropy, params, np.log, seed=0, **options)
