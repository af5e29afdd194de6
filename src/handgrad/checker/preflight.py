"""Before anything is measured: can this loss, and can these gradients, be checked at all?"""

import math
from collections.abc import Callable, Mapping
from itertools import combinations
from typing import Any

import numpy as np

from handgrad.checker.arrays import Array, Native, as_array, eps_of
from handgrad.checker.program import Program
from handgrad.checker.rounding import Sound
from handgrad.errors import BadInput


def require_sound(program: Program) -> Sound:
    """Raise `BadInput`, naming what is wrong, unless the program can be checked."""
    native, grads = program.native, program.grads
    point = native.arrays()
    params = native.build(point)
    if program.both is not None:
        loss, given = program.known or program.both(params)
        first = _number("loss", lambda _: loss, native, params)
    else:
        first = _number("loss", program.loss, native, params)
        _require_untouched("loss", point, native, params)
        given = grads(params) if callable(grads) else grads
    far = 0.0
    if callable(grads):
        _require_untouched("grads", point, native, params)
        far = _require_stateless(program, params, first)
    kept = {name: np.array(g) for name, g in _gradients(given, point).items()}
    wander = {}
    if callable(grads) and program.both is None:
        wander = _require_repeatable_gradients(native, kept, grads(params))
    eps = max(native.eps, *map(eps_of, given.values()))
    if program.reference is not None:  # last: it may be the loss itself, which may keep its state
        _require_reference(program, point)
    wide = {name: g.astype(np.float64, copy=False) for name, g in kept.items()}
    return Sound(first, wide, eps, far, wander)


def _require_reference(program: Program, point: Mapping[str, Array]) -> None:
    native, reference = program.native, program.reference
    assert reference is not None
    wide = native.build(point, wide=True)
    first = _number("reference", reference, native, wide)
    _require_repeatable("reference", reference, native, wide, first)
    _require_untouched("reference", point, native, wide)
    dtype = np.asarray(as_array(reference(wide))).dtype
    if dtype != np.float64:
        raise BadInput(f"reference must compute in float64, but returned {dtype}")
    if not callable(program.grads):
        raise BadInput("grads must be a function of params where reference is given")


def _require_stateless(program: Program, params: Mapping[str, Any], first: float) -> float:
    """How far the loss differs from call to call; the gradients were taken in between."""
    after = program.native.number(program.loss(params))
    if after == first:
        return 0.0
    far = _require_repeatable("loss", program.loss, program.native, params, after)
    if not abs(after - first) <= 10 * far:
        raise BadInput(
            "state: grads must not change what loss returns from then on, but it was "
            f"{first!r} and is {after!r} (running statistics?)"
        )
    return far


def _gradients(given: Any, point: Mapping[str, Array]) -> dict[str, Array]:
    """The gradients as arrays, in the names and shapes of the parameters."""
    if not isinstance(given, Mapping) or set(given) != set(point):
        names = sorted(given) if isinstance(given, Mapping) else type(given).__name__
        raise BadInput(f"grads must have the names of params, {sorted(point)}, got {names}")
    arrays = {name: _array(name, g) for name, g in given.items()}
    for name, g in arrays.items():
        if g.shape != point[name].shape:
            raise BadInput(f"grads: {name} must have shape {point[name].shape}, got {g.shape}")
        if not np.isfinite(g).all():
            raise BadInput(f"grads: {name} must be finite, got {g[~np.isfinite(g)][0]}")
    for one, other in combinations(arrays, 2):
        if np.shares_memory(arrays[one], arrays[other]):
            raise BadInput(f"grads: {one} and {other} must not share memory: copy one of them")
    return arrays


def _require_repeatable_gradients(
    native: Native, kept: Mapping[str, Array], given: Mapping[str, Any]
) -> dict[str, float]:
    """How far each gradient differs from call to call."""
    wander = {}
    for name, before in kept.items():
        again = np.asarray(as_array(given[name]))
        gap = float(abs(before - again).max())
        if not gap <= math.sqrt(native.eps) * float(abs(before).max()):
            with np.errstate(all="ignore"):
                twice = np.allclose(again, 2 * before)
            why = "it accumulates: clear it before each call"
            if not twice:
                why = "fix its randomness (or is memory read that nothing wrote: np.empty?)"
            raise BadInput(f"grads: {name} must be the same in a second call, and is not: {why}")
        wander[name] = gap
    return wander


def _array(name: str, gradient: Any) -> Array:
    try:
        array = np.asarray(as_array(gradient))
    except ValueError:
        raise BadInput(f"grads: {name} must be one array, got rows of unequal length") from None
    if array.dtype.kind != "f":
        got = "None" if gradient is None else str(array.dtype)
        raise BadInput(f"grads: {name} must be an array of a float dtype, got {got}")
    return array


def _number(
    who: str, loss: Callable[[Any], Any], native: Native, params: Mapping[str, Any]
) -> float:
    value = native.number(loss(params))
    if not np.isfinite(value):
        raise BadInput(f"{who} must be finite at the given parameters, got {value}")
    return value


def _require_repeatable(
    who: str, loss: Callable[[Any], Any], native: Native, params: Mapping[str, Any], first: float
) -> float:
    """How far the number differs from call to call."""
    second = native.number(loss(params))
    if first == second:
        return 0.0
    others = [second, *(native.number(loss(params)) for _ in range(3))]
    far = max(abs(other - first) for other in others)
    if not far <= math.sqrt(native.eps) * abs(first):
        raise BadInput(
            f"{who} must give the same number twice, got {first!r} and {second!r}: fix its random "
            "numbers (dropout, sampling, shuffling)"
        )
    return far


def _require_untouched(
    who: str, point: Mapping[str, Array], native: Native, params: Mapping[str, Any]
) -> None:
    for name, p in params.items():
        if not np.array_equal(as_array(p), point[name]):
            raise BadInput(f"{who} must not change its parameters, but changed {name}")
