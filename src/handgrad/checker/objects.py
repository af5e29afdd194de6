"""An object that keeps its parameters and their gradients: where they are.

A parameter's name is the way to it: "W", "params.W", "layers[0].W".
"""

import copy
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from types import FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np

from handgrad.checker.arrays import Array
from handgrad.errors import BadInput
from handgrad.inputs import shown

GRADIENTS = ("grads", "gradients", "grad")
"""Attributes that may hold the gradients by the parameters' keys."""

NO_STATE = (ModuleType, FunctionType, MethodType, type, np.random.Generator, np.random.RandomState)


class Holder:
    """A layer that keeps its parameters; each call is made on a copy of it."""

    def __init__(
        self,
        layer: Any,
        params: Sequence[str] | None,
        grads: Mapping[str, str] | Callable[[Any], Mapping[str, Any]] | None,
    ) -> None:
        self.layer, self.grads = layer, grads
        self.named = params is not None
        self.params = _all(layer) if params is None else _those(layer, params)

    @property
    def forward(self) -> Callable[..., Any]:
        """Of this copy."""
        return self.layer.forward

    @property
    def backward(self) -> Callable[..., Any]:
        """Of this copy."""
        return self.layer.backward

    def fresh(self) -> "Holder":
        """A copy, whose gradients are cleared."""
        made = copy.copy(self)
        made.layer = copy.deepcopy(self.layer)
        with suppress(AttributeError, KeyError, IndexError, BadInput):  # there may be none yet
            for array in made.gradients().values():
                if isinstance(array, np.ndarray):
                    array.fill(0)
        return made

    def write(self, params: Mapping[str, Array]) -> None:
        """Put the values where the layer reads them: into its own arrays, which others may hold."""
        for name, value in params.items():
            *way, key = _keys(name)
            where = _at(self.layer, way)
            own = _at(where, [key])
            if isinstance(own, np.ndarray) and value.dtype != object:
                own[...] = value
            elif isinstance(where, Mapping | list):
                where[int(key) if isinstance(where, list) else key] = value  # type: ignore[index]
            else:
                setattr(where, key, value)

    def forget_caches(self, after: Callable[[Mapping[str, Array]], "Holder"]) -> None:
        """Of the arrays that nobody named, those that forward writes are no parameters.

        after: the layer after a forward pass with other arrays in their place.
        """
        if self.named:
            return
        moved = {n: a + 0.1 * (1 + abs(a)) for n, a in self.params.items()}
        layer = after(moved).layer
        self.params = {
            n: a for n, a in self.params.items() if _is(_found(layer, _keys(n)), moved[n])
        }

    def gradients(self) -> dict[str, Any]:
        """Those that are there, by the parameters' names."""
        if callable(self.grads):
            return {n: g for n, g in self.grads(self.layer).items() if g is not None}
        found = {name: self._gradient(name) for name in self.params}
        return {name: g for name, g in found.items() if g is not None}

    def _gradient(self, name: str) -> Any:
        if isinstance(self.grads, Mapping) and name in self.grads:
            return _at(self.layer, _keys(self.grads[name]))
        owner, attribute, rest = _owner(self.layer, _keys(name))
        for candidate in _gradient_names(attribute):
            value = _found(owner, [candidate, *rest])
            if value is not None and not callable(value):
                return value
        own = rest or [attribute]
        for holder in GRADIENTS:
            for key in (own[-1], f"d{own[-1]}"):
                value = _found(owner, [holder, *own[:-1], key])
                if value is not None:
                    return value
        return None

    def unused(
        self, missing: Sequence[str], outputs: Callable[[Mapping[str, Array]], list[Any]]
    ) -> list[str]:
        """Notes on the arrays without a gradient. Raises `BadInput` for those that are used.

        outputs: what forward returns with other arrays in their place.
        """
        before = outputs(self.params)
        for name in missing:
            array = self.params[name]
            moved = outputs({**self.params, name: array + 0.1 * (1 + abs(array))})
            if self.named or not all(map(np.array_equal, before, moved)):
                raise BadInput(
                    f"the gradient of {name} must be found after backward, and is not: say where "
                    f"it is, as in grads={{{name!r}: 'grad_{_keys(name)[-1]}'}}, or name the "
                    "parameters in params="
                )
        return [f"{name}: not checked: forward does not use it" for name in missing]


def _gradient_names(attribute: str) -> tuple[str, ...]:
    names = (f"d{attribute}", f"d{attribute.lower()}", f"grad_{attribute}", f"{attribute}_grad")
    return tuple(dict.fromkeys(names))


def _keys(name: str) -> list[str]:
    """The way to it.

    >>> _keys("layers[0].params.W")
    ['layers', '0', 'params', 'W']
    """
    return re.findall(r"[^.\[\]]+", name)


def _at(where: Any, keys: Sequence[str]) -> Any:
    """What lies at the end of the way. Raises `BadInput` where there is no such way."""
    for key in keys:
        try:
            if isinstance(where, Mapping):
                where = where[key]
            elif isinstance(where, list | tuple):
                where = where[int(key)]
            else:
                where = getattr(where, key)
        except (AttributeError, KeyError, IndexError, ValueError):
            raise BadInput(f"the layer must have {key}, and has not") from None
    return where


def _found(where: Any, keys: Sequence[str]) -> Any:
    try:
        return _at(where, keys)
    except BadInput:
        return None


def _owner(layer: Any, keys: Sequence[str]) -> tuple[Any, str, list[str]]:
    """The object on the way whose attribute leads on, the attribute, and the rest of the way."""
    owner, start = layer, 0
    for k in range(1, len(keys)):
        here = _at(layer, keys[:k])
        if not isinstance(here, Mapping | list | tuple):
            owner, start = here, k
    return owner, keys[start], list(keys[start + 1 :])


def _those(layer: Any, names: Sequence[str]) -> dict[str, Array]:
    """The arrays that are named."""
    found = {}
    for name in [names] if isinstance(names, str) else names:
        value = _at(layer, _keys(name))
        if not _is_float(value):
            raise BadInput(f"params: {name} must be a float array, got {shown(value)}")
        found[name] = np.array(value)
    return found


def _all(layer: Any) -> dict[str, Array]:
    """Every float array that the layer, and the layers in it, have; their gradients left out."""
    arrays = dict(_within(layer, "", set()))
    gradients = set()
    for name in arrays:
        owner, attribute, rest = _owner(layer, _keys(name))
        for candidate in (*_gradient_names(attribute), *GRADIENTS):
            held = _found(owner, [candidate])
            gradients |= {id(a) for a in _leaves(held)} if held is not None else set()
    return {n: np.array(a) for n, a in arrays.items() if id(a) not in gradients}


def _leaves(held: Any) -> Iterator[Any]:
    return (array for _, array in _within(held, "", set()))


def _within(value: Any, name: str, seen: set[int]) -> Iterator[tuple[str, Array]]:
    """The float arrays in an object, in its lists, tuples and dicts, and in the objects there."""
    if id(value) in seen or isinstance(value, NO_STATE):
        return
    seen.add(id(value))
    if _is_float(value):
        yield name, value
    elif isinstance(value, list | tuple):
        for k, inner in enumerate(value):
            yield from _within(inner, f"{name}[{k}]", seen)
    else:
        parts = value if isinstance(value, Mapping) else getattr(value, "__dict__", {})
        for key, inner in parts.items():
            yield from _within(inner, f"{name}.{key}" if name else str(key), seen)


def _is_float(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype.kind == "f"


def _is(value: Any, array: Array) -> bool:
    return isinstance(value, np.ndarray) and np.array_equal(value, array)
