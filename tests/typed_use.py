# pyright: strict
"""What a user's own typed code looks like: mypy and pyright must find nothing here, strictly."""

from fractions import Fraction
from pathlib import Path
from typing import assert_type

import numpy as np
from numpy.typing import NDArray

from handgrad import (
    STAGES,
    Agreement,
    BadInput,
    Comparison,
    Config,
    Grid,
    Parameters,
    Problem,
    Run,
    Stage,
    Verification,
    agreement,
    assert_gradients,
    gradcheck,
    gradcheck_layer,
    gradcheck_module,
    make_problem,
    run_sweep,
    train,
    verify,
)
from handgrad.checker import ParameterReport, Report, Stack
from handgrad.exact import Dual, Proof, prove
from handgrad.explore import page, show

Array = NDArray[np.float64]


def loss(p: dict[str, Array]) -> float:
    return float((p["w"] ** 2).sum() / 2)


def gradients(p: dict[str, Array]) -> dict[str, Array]:
    return {"w": p["w"]}


def forward(x: Array, w: Array) -> tuple[Array, tuple[Array, Array]]:
    return x @ w, (x, w)


def backward(dout: Array, cache: tuple[Array, Array]) -> tuple[Array, Array]:
    x, w = cache
    return dout @ w.T, x.T @ dout


def check(x: Array, w: Array) -> bool:
    report = gradcheck(loss, {"w": w}, gradients, points=2, seed=1)
    assert_type(report, Report)
    assert_type(report["w"], ParameterReport)
    assert_type(report.verdict, str)
    layer = gradcheck_layer(forward, backward, [x, w])
    assert_type(layer, Report)
    assert_gradients(forward, backward, [x, w])
    assert_gradients(loss, {"w": w}, gradients, rtol=1e-6)
    assert_type(gradcheck_module(abs, x, second=True), Report)
    stack = Stack(weights=["W1", "W2"], biases=["b1", "b2"], x=x, y=x)
    return bool(report) and layer.ok and bool(gradcheck(stack.loss, {"w": w}, gradients))


def trainings(folder: Path) -> None:
    try:
        problem = make_problem(Config(seed=1, hidden=4, dtype="float32"))
    except BadInput as error:
        print(error)
        return
    assert_type(problem, Problem)
    assert_type(problem.params, Parameters)
    run = train(problem, STAGES[0], record=True)
    assert_type(run, Run)
    assert_type(run.final["val_accuracy"], float)
    assert_type(agreement(run, run), Agreement)
    found = verify(problem, [STAGES[1]])
    assert_type(found, Verification)
    assert_type(found.failures, list[Comparison])
    print(run_sweep(Grid(seeds=10, hidden=(2, 4)), folder).height)
    print(len(page(found)), show(hidden=4).page[:10])


def held_to(problem: Problem, engine: Stage) -> str:
    return verify(problem, [engine]).verdict


def proof() -> Proof:
    print(Dual(Fraction(1, 2), Fraction(1)))
    return prove(loss, gradients, {"w": (3,)}, of=["w"])
