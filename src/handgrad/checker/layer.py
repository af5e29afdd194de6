"""The gradient check of a layer as it is written by hand: forward, a cache, backward."""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache, partial
from typing import Any

import numpy as np

from handgrad.checker.arrays import DOUBLE, Array, Native
from handgrad.checker.check import check
from handgrad.checker.forward_mode import with_forward_mode
from handgrad.checker.layer_program import (
    Functions,
    Gradients,
    LayerProgram,
    Run,
    is_float,
    named_arguments,
    of_dtype,
    upstream_like,
)
from handgrad.checker.objects import Holder
from handgrad.checker.places import Options
from handgrad.checker.program import Program
from handgrad.checker.report import Report
from handgrad.checker.trees import flattened
from handgrad.checker.verdict import fresh_seed
from handgrad.errors import BadInput
from handgrad.inputs import require_functions, shown


def gradcheck_layer(
    forward: Any,
    backward: Callable[..., Any] | None = None,
    inputs: Any = (),
    params: Sequence[str] | None = None,
    *,
    grads: Mapping[str, str] | Callable[[Any], Mapping[str, Any]] | None = None,
    jvp: Callable[..., Any] | None = None,
    outputs: int | None = None,
    points: int = 3,
    directions: int | None = None,
    rtol: float = 0.0,
    resolve: float = 0.01,
    delta: float = 0.01,
    seed: int | None = None,
    entries: bool = False,
) -> Report:
    """Check a layer's backward pass as it stands, without an adapter.

    >>> import numpy as np
    >>> def affine_forward(x, w, b):
    ...     return x @ w + b, (x, w)
    >>> def affine_backward(dout, cache):
    ...     x, w = cache
    ...     return dout @ w.T, x.T @ dout, dout.sum(axis=0)
    >>> rng = np.random.default_rng(0)
    >>> x, w, b = (rng.standard_normal(s) for s in ((4, 3), (3, 2), (2,)))
    >>> report = gradcheck_layer(affine_forward, affine_backward, [x, w, b])
    >>> report.verdict, list(report.parameters)
    ('pass', ['x', 'w', 'b'])

    The upstream gradients are drawn at random, one for each output, and never ones. Each call runs
    on fresh copies, with NumPy's and Python's global random state fixed and then restored. Besides
    the slopes it is checked that backward is linear in its upstream gradient, that a second
    backward pass gives the same again (or, for an object's parameters, adds to them: a note says
    which), and that nothing is changed that is not its own.

    Args:
        forward: a function inputs → out, or (out, cache), or (out 1, …, out n, cache); or an object
            with forward and backward, or a class of such (made without arguments).
        backward: (dout, cache) → the gradients of the float inputs, in their order (None for one
            that is not computed), or a dict by their names; (dout) for a forward without cache.
            Leave it out for an object.
        inputs: forward's arguments: a float array, or a list of anything. Checked are the float
            arrays in it, nested or not; they are called as forward calls them.
        params: which of an object's float arrays are parameters, by the way to them ("W",
            "params.W", "layers[0].W"); where left out, all that the object has, and what is in it,
            but for what forward writes.
        grads: where an object keeps their gradients: the attribute of each ("weight": "grad_w",
            "W": "g.W"), or a function of the object that returns them by the parameters' names.
            Where left out, those of W are looked for as dW, dw, grad_W, W_grad, and as W or dW in
            the dict grads.
        jvp: (dinputs…, cache) → doutput, or a tuple of them: forward mode, how the outputs change
            as the inputs move by dinputs, given as forward's arguments are (None for what is no
            float array). It is held to the slopes and to backward ("jvp x").
        outputs: how many outputs forward returns, where backward's arguments do not tell.
        points, directions, rtol, resolve, delta, seed, entries: as for `gradcheck`.

    Returns:
        A `Report`, which is true if it passes.

    Raises:
        BadInput: where there is nothing to check, or it cannot be told what is whose.
    """
    require_functions(jvp=jvp, optional=True)
    if jvp is not None and backward is None:
        raise BadInput("jvp must come with two functions, forward and backward, got an object")
    layer = _layer(forward, backward, params, grads)
    options = Options(points, directions, rtol, resolve, delta, fresh_seed(seed), entries)
    program = LayerProgram(layer, named_arguments(layer.forward, inputs), outputs, options.seed)
    native = Native(program.given)
    shares = program.shares if native.eps < DOUBLE else None
    caller = Program(native, program.loss, program.grads, shares=shares)
    report = check(caller, options, np.random.default_rng(options.seed))
    wrong, notes = _calls(program, caller)
    report = replace(report, notes=(*report.notes, *program.notes, *notes), calls=tuple(wrong))
    if jvp is None:
        return report
    tangent = partial(program.tangent, jvp)
    return with_forward_mode(report, program.loss, program.grads, tangent, program.given, options)


def _layer(
    forward: Any, backward: Any, params: Sequence[str] | None, grads: Any
) -> "Functions | Holder":
    if backward is not None:
        require_functions(forward=forward, backward=backward)
        return _functions(forward, backward, params, grads)
    for name in ("forward", "backward"):
        if not callable(getattr(forward, name, None)):
            raise BadInput(f"a layer must have forward and backward, got {shown(forward)}")
    if isinstance(forward, type):
        static = [isinstance(vars(forward).get(n), staticmethod) for n in ("forward", "backward")]
        if all(static):
            found: Any = forward
            return _functions(found.forward, found.backward, params, grads)
        try:
            forward = forward()
        except TypeError as error:
            said = " ".join(str(error).split())
            raise BadInput(
                f"a class must be made without arguments, but {said}: give an object"
            ) from None
    return Holder(forward, params, grads)


def _functions(forward: Any, backward: Any, params: Any, grads: Any) -> Functions:
    if params is not None or grads is not None:
        raise BadInput(
            "params and grads are for an object: give it alone, as gradcheck_layer(layer, "
            "inputs=…), or make the parameters inputs of forward"
        )
    return Functions(forward, backward)


def _calls(program: LayerProgram, caller: Program) -> tuple[list[str], list[str]]:
    """What depends on how backward is called, a sentence each; and notes."""
    rounding = cache(lambda: caller.entry_rounding(program.seed))
    run = Run(program, program.given)
    before = copy.deepcopy(run.arguments)
    first = run.backward(program.upstream)
    wrong = [
        f"{name} is changed, which others may still read"
        for name, array in flattened(run.arguments).items()
        if is_float(array) and not np.array_equal(array, flattened(before)[name], equal_nan=True)
    ]
    if not all(map(np.array_equal, run.sent, program.upstream)):
        wrong.append(
            "backward changed its upstream gradient: right here, wrong wherever that gradient has "
            "another reader"
        )
    wrong += _not_linear(program, first, rounding)
    try:
        second = run.backward(program.upstream)
    except Exception as error:  # it is allowed to let go of its cache
        said = f"{type(error).__name__} in a second backward pass after one forward pass"
        return wrong, [f"{said}: each needs its own"]
    adds = [n for n in first if n in program.layer.params and _same(second[n], 2 * first[n])]
    replaces = [n for n in first if n in program.layer.params and _same(second[n], first[n])]
    others = [n for n in first if not _same(second[n], first[n]) and n not in adds]
    if others:
        wrong.append(
            "a second backward pass after one forward pass: the gradient of "
            f"{', '.join(others)} is another one"
        )
    notes = []
    if set(adds) - set(replaces):
        notes.append(
            f"a second backward pass adds to the gradients of {', '.join(adds)}: clear them before"
        )
    elif replaces:
        notes.append(f"a second backward pass replaces the gradients of {', '.join(replaces)}")
    return wrong, notes


def _not_linear(
    program: LayerProgram, first: Gradients, rounding: Callable[[], Mapping[str, float]]
) -> list[str]:
    """backward(3 c − d) must be 3 backward(c) − backward(d); 3 − 1 ≠ 1, so a constant is seen."""
    rng = np.random.default_rng([program.seed, 2])
    other = [upstream_like(rng, c) for c in program.upstream]
    mixed = [of_dtype(3 * c - d, c) for c, d in zip(program.upstream, other, strict=True)]
    of_other, of_mixed = (Run(program, program.given).backward(c) for c in (other, mixed))
    right = {n: 3 * first[n] - of_other[n] for n in first}
    names = [n for n in first if not _same(of_mixed[n], right[n])]
    if names:  # a backward pass that computes in less than its dtype
        far = rounding()
        names = [n for n in names if not _same(of_mixed[n], right[n], 5 * far.get(n, 0.0))]
    if not names:
        return []
    return [f"backward is not linear in its upstream gradient, at {', '.join(names)}"]


def _same(one: Array, other: Array, far: float = 0.0) -> bool:
    """Equal as far as another order of additions may make them, or `far`."""
    size = max(float(abs(one).max(initial=0)), float(abs(other).max(initial=0)))
    eps = float(np.finfo(np.result_type(one, np.float16)).eps)
    return bool((abs(one - other) <= max(eps**0.5 * size, far)).all())
