"""The four stages: one contract, one arithmetic, comments that cannot lie."""

import ast
import inspect
import random
import subprocess
import sys
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from handgrad import STAGES, BadInput, Config, make_problem, train
from handgrad.parity import Point, point_bounds, values
from handgrad.problem import Parameters
from handgrad.stages import Stage, load, require_device

FUNCTIONS = ["to_native", "to_numpy", "relu", "forward", "loss", "backward", "sgd"]


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_keeps_the_contract(name: str) -> None:
    assert isinstance(load(name), Stage)
    assert load(name).name == name


@pytest.mark.parametrize("name", STAGES)
def test_the_functions_stand_in_the_same_order(name: str) -> None:
    source = inspect.getsource(load(name))  # type: ignore[arg-type]
    defined = [n.name for n in ast.parse(source).body if isinstance(n, ast.FunctionDef)]
    assert [f for f in defined if f in FUNCTIONS] == FUNCTIONS


@pytest.mark.parametrize("name", STAGES)
def test_sgd_is_short(name: str) -> None:
    body = inspect.getsource(load(name).sgd).split('"""')[2].strip().splitlines()
    assert 0 < len(body) <= 15


def test_what_is_no_stage_is_told() -> None:
    with pytest.raises(BadInput, match=r"stage must be one of numpy_manual, .*, got 'jax'"):
        load("jax")
    with pytest.raises(BadInput, match="an engine must have name, to_native"):
        load(3)  # type: ignore[arg-type]


def test_a_device_that_is_not_there_is_told() -> None:
    for device in ("cuda:99", "nonsense", "meta"):
        with pytest.raises(BadInput, match="device must be one that pytorch_autograd can use"):
            require_device(load("pytorch_autograd"), device, "float64")
    require_device(load("pytorch_autograd"), "cpu", "float64")


# Parity on random shapes


def network(seed: int, B: int, h: int, dtype: str = "float64") -> Point:
    rng = np.random.default_rng(seed)
    x = rng.uniform(-1, 1, (B, 2))
    y = (x[:, :1] * x[:, 1:] < 0).astype(float)
    W1, b1 = rng.standard_normal((h, 2)), rng.standard_normal(h)
    W2, b2 = rng.standard_normal((1, h)) * np.sqrt(2 / h), rng.standard_normal(1)
    x, y, *params = (a.astype(dtype) for a in (x, y, W1, b1, W2, b2))
    return Point(x, y, Parameters(*params))


@given(st.integers(0, 2**32), st.integers(1, 500), st.integers(1, 64))
@settings(max_examples=100, deadline=None, derandomize=True)
def test_values_and_gradients_agree_on_random_shapes(seed: int, B: int, h: int) -> None:
    point = network(seed, B, h)
    expected = values(load("numpy_manual"), point)
    for name in STAGES[1:]:
        for quantity, got in values(load(name), point).items():
            assert got.shape == expected[quantity].shape
            assert abs(got - expected[quantity]).max() <= 2e-14, (name, quantity)


@given(
    st.integers(0, 2**32),
    st.integers(1, 3000),
    st.integers(1, 300),
    st.sampled_from(("float32", "float64")),
)
@settings(max_examples=40, deadline=None, derandomize=True)
def test_larger_networks_agree_within_the_bound_that_is_made(
    seed: int, B: int, h: int, dtype: str
) -> None:
    point = network(seed, B, h, dtype)
    bounds, expected = point_bounds(point), values(load("numpy_manual"), point)
    for name in STAGES[1:]:
        for quantity, got in values(load(name), point).items():
            assert got.dtype == dtype
            assert abs(got - expected[quantity]).max() <= bounds[quantity], (name, quantity)


# ReLU′(0) = 0


@pytest.mark.parametrize("name", STAGES)
@pytest.mark.parametrize("zero", [0.0, -0.0])
def test_the_derivative_of_relu_at_0_is_0(name: str, zero: float) -> None:
    on_kink = Parameters(np.full((1, 2), zero), np.zeros(1), np.ones((1, 1)), np.ones(1))
    found = values(load(name), Point(np.ones((1, 2)), np.zeros((1, 1)), on_kink))
    assert found["a1"].item() == 0
    assert found["f"].item() == 1
    assert found["db2"].item() == 1
    assert found["db1"].item() == 0
    assert not found["dW1"].any()


@pytest.mark.parametrize(("other", "slope"), [("clamp", 1.0), ("maximum", 0.5)])
def test_other_ways_to_write_relu_break_the_contract(other: str, slope: float) -> None:
    a = torch.zeros(1, requires_grad=True)
    h = a.clamp(min=0) if other == "clamp" else torch.maximum(a, torch.zeros(1))
    h.backward()
    assert a.grad is not None
    assert a.grad.item() == slope


# Nothing is changed behind anybody's back


@pytest.mark.parametrize("name", STAGES)
def test_the_arrays_received_stay_as_they_are(name: str) -> None:
    stage, problem = load(name), make_problem(Config(epochs=1))
    order = np.asarray(problem.order)
    given_ = [
        stage.to_native(a, "cpu")
        for a in (*problem.params, problem.x_train, problem.y_train, order)
    ]
    before = [np.array(stage.to_numpy(a)) for a in given_]
    W1, b1, W2, b2, x, y, order = given_
    stage.backward(x, y, W1, b1, W2, b2)
    list(stage.sgd((W1, b1, W2, b2), x, y, order, 32, 0.1))
    assert all(map(np.array_equal, before, map(stage.to_numpy, given_)))


@pytest.mark.parametrize("name", STAGES)
def test_native_arrays_are_copies(name: str) -> None:
    array = np.zeros(3)
    native = load(name).to_native(array, "cpu")
    array[:] = 1
    assert not load(name).to_numpy(native).any()


@pytest.mark.parametrize("name", STAGES)
def test_no_global_random_state_is_touched(name: str) -> None:
    def states() -> tuple[Any, ...]:
        return (
            random.getstate(),
            np.random.get_state()[1].tobytes(),  # type: ignore[index]
            torch.get_rng_state().numpy().tobytes(),
        )

    before = states()
    train(make_problem(Config(epochs=2)), name)
    assert states() == before


# Import boundaries


def test_the_package_and_stage_one_load_no_torch() -> None:
    code = (
        "import sys, handgrad, handgrad.mistakes\n"
        "handgrad.train(handgrad.make_problem(handgrad.Config(epochs=1)))\n"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_catalogue_imports_numpy_alone() -> None:
    import handgrad.mistakes

    tree = ast.parse(inspect.getsource(handgrad.mistakes))
    imported = {n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
    imported |= {a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
    roots = {str(name).partition(".")[0] for name in imported}
    assert roots - sys.stdlib_module_names == {"numpy"}


# Comments that give a shape are held against the real shapes


def watched(
    source: str, lines: list[str], seen: list[tuple[int, str, list[tuple[int, ...]]]]
) -> Any:
    """The module, with a note taken of every array that a line with a shape comment makes."""

    class Watch(ast.NodeTransformer):
        def comment(self, node: ast.stmt) -> str | None:
            text = lines[(node.end_lineno or 0) - 1].partition("  # (")[2]
            return f"({text}" if text else None

        def visit_Assign(self, node: ast.Assign) -> Any:
            comment = self.comment(node)
            if comment is None:
                return node
            (target,) = node.targets
            names = target.elts if isinstance(target, ast.Tuple) else [target]
            made = ", ".join(ast.unparse(name) for name in names)
            call = f"_seen({node.lineno}, {comment!r}, [{made}])"
            return [node, *ast.parse(call).body]

        def visit_Return(self, node: ast.Return) -> Any:
            comment = self.comment(node)
            if comment is None or node.value is None:
                return node
            call = f"_seen({node.lineno}, {comment!r}, [_value])"
            return [
                ast.Assign([ast.Name("_value", ast.Store())], node.value),
                *ast.parse(call).body,
                ast.Return(ast.Name("_value", ast.Load())),
            ]

    tree = ast.fix_missing_locations(Watch().visit(ast.parse(source)))
    module: Any = ModuleType("watched")
    module._seen = lambda line, comment, made: seen.append(
        (line, comment, [tuple(a.shape) for a in made])
    )
    exec(compile(tree, "<stage>", "exec"), module.__dict__)
    return module


def check_shape_comments(source: str) -> int:
    """Run forward, loss, backward and sgd; return how many comments were held to their shapes."""
    B, h, N = 5, 3, 14  # sgd's last batch is short
    seen: list[tuple[int, str, list[tuple[int, ...]]]] = []
    lines = source.splitlines()
    stage = watched(source, lines, seen)
    config = Config(hidden=h, n_train=N, batch_size=B, epochs=2)
    problem = make_problem(config)
    given_order = np.asarray(problem.order)
    x, y, order = (stage.to_native(a) for a in (problem.x_train, problem.y_train, given_order))
    params = tuple(stage.to_native(p) for p in problem.params)

    def check(sizes: dict[str, int]) -> None:
        for line, comment, shapes in seen:
            said = ast.literal_eval("[" + "".join(str(sizes.get(c, c)) for c in comment) + "]")
            assert list(shapes) == said, f"line {line} says {comment}, has {shapes}"

    *_, f = stage.forward(x[:B], *params)
    stage.loss(f, y[:B])
    stage.backward(x[:B], y[:B], *params)
    check({"B": B, "h": h})
    counted = {line for line, _, _ in seen}
    for size in (B, N % B):  # within sgd, B is whatever the batch is
        seen.clear()
        rows = order[:, :size]
        list(stage.sgd(params, x, y, rows, size, 0.1))
        check({"B": size, "h": h, "N": size})
    counted |= {line for line, _, _ in seen}
    commented = {i for i, line in enumerate(lines, 1) if "  # (" in line}
    assert counted == commented, f"lines {commented - counted} were not reached"
    return len(counted)


@pytest.mark.parametrize("name", STAGES)
def test_shape_comments_tell_the_truth(name: str) -> None:
    assert check_shape_comments(inspect.getsource(load(name))) >= 7  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("dW2 = df.T @ h1  # (1, h)", "dW2 = df.T @ h1  # (h, 1)"),
        ("a1 = x @ W1.T + b1  # (B, h)", "a1 = x @ W1.T + b1  # (h, B)"),
        ("mean()  # ()", "mean()  # (1,)"),
        (
            "x_epoch, y_epoch = x[rows], y[rows]  # (N, 2), (N, 1)",
            "x_epoch, y_epoch = x[rows], y[rows]  # (N, 2), (N, 2)",
        ),
    ],
)
def test_a_shape_comment_that_lies_is_caught(right: str, wrong: str) -> None:
    source = inspect.getsource(load("numpy_manual"))  # type: ignore[arg-type]
    assert right in source
    with pytest.raises(AssertionError, match="says"):
        check_shape_comments(source.replace(right, wrong))
