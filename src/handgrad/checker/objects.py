"""An object that keeps its parameters and their gradients: where they are."""

import copy
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from handgrad.checker.arrays import Array
from handgrad.errors import BadInput
from handgrad.inputs import shown

DICTS = ("params", "parameters", "weights")
"""Attributes that may hold the parameters by name."""

GRADIENTS = ("grads", "gradients", "grad")
"""Attributes that may hold the gradients by name."""


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
        self.params = _parameters(layer, params)

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
        with suppress(AttributeError, KeyError, BadInput):  # before backward there may be none
            for array in made.gradients().values():
                if isinstance(array, np.ndarray):
                    array.fill(0)
        return made

    def write(self, params: Mapping[str, Array]) -> None:
        """Put the values where the layer reads them: into its own arrays, which others may hold."""
        for name, value in params.items():
            where, key = _place(self.layer, name)
            own = _get(where, key)
            if isinstance(own, np.ndarray) and value.dtype != object:
                own[...] = value
            else:
                _set(where, key, value)

    def forget_caches(self, after: Callable[[Mapping[str, Array]], Any]) -> None:
        """Of the arrays that nobody named, those that forward writes are no parameters.

        after: the layer after a forward pass with other arrays in their place.
        """
        if self.named:
            return
        moved = {n: a + 0.1 * (1 + abs(a)) for n, a in self.params.items()}
        layer = after(moved).layer
        self.params = {
            n: a
            for n, a in self.params.items()
            if np.array_equal(_get(*_place(layer, n)), moved[n])
        }

    def gradients(self) -> dict[str, Any]:
        """Those that are there, by the parameters' names."""
        if callable(self.grads):
            return {n: g for n, g in self.grads(self.layer).items() if g is not None}
        found = {name: self._gradient(name) for name in self.params}
        return {name: g for name, g in found.items() if g is not None}

    def _gradient(self, name: str) -> Any:
        if isinstance(self.grads, Mapping) and name in self.grads:
            where, key = _place(self.layer, self.grads[name])
            return _get(where, key)
        own = name.split(".")[-1]
        for candidate in (f"d{own}", f"d{own.lower()}", f"grad_{own}", f"{own}_grad"):
            value = getattr(self.layer, candidate, None)
            if value is not None and not callable(value):
                return value
        for attribute in GRADIENTS:
            held = getattr(self.layer, attribute, None)
            if isinstance(held, Mapping):
                for key in (own, f"d{own}"):
                    if held.get(key) is not None:
                        return held[key]
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
                    f"it is, as in grads={{{name!r}: 'grad_{name}'}}, or name the parameters in "
                    "params="
                )
        return [f"{name}: not checked: forward does not use it" for name in missing]


def _parameters(layer: Any, names: Sequence[str] | None) -> dict[str, Array]:
    """The float arrays that a layer has, its gradients left out; or those that are named."""
    if names is not None:
        names = [names] if isinstance(names, str) else list(names)
        found = {}
        for name in names:
            where, key = _place(layer, name)
            value = _get(where, key)
            if not _is_float(value):
                raise BadInput(f"params: {name} must be a float array, got {shown(value)}")
            found[name] = np.array(value)
        return found
    arrays = {n: a for n, a in vars(layer).items() if _is_float(a)}
    for attribute in DICTS:
        held = vars(layer).get(attribute)
        if isinstance(held, Mapping):
            arrays |= {f"{attribute}.{k}": a for k, a in held.items() if _is_float(a)}
    gradients = {
        f"{before}{n}{after}"
        for n in arrays
        for before, after in (("d", ""), ("grad_", ""), ("", "_grad"))
    } | {f"d{n.lower()}" for n in arrays}
    return {n: np.array(a) for n, a in arrays.items() if n not in gradients}


def _is_float(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype.kind == "f"


def _place(layer: Any, name: str) -> tuple[Any, str]:
    """What holds it, and its key there: "W" is an attribute, "params.W" an entry of one."""
    first, _, rest = name.partition(".")
    if not hasattr(layer, first):
        raise BadInput(f"the layer must have {first}, and has not")
    return (getattr(layer, first), rest) if rest else (layer, first)


def _get(where: Any, key: str) -> Any:
    return where[key] if isinstance(where, Mapping) else getattr(where, key)


def _set(where: Any, key: str, value: Any) -> None:
    if isinstance(where, Mapping):
        where[key] = value  # type: ignore[index]
    else:
        setattr(where, key, value)
