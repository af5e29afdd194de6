"""Parameters in any nesting of dicts, lists and tuples, as one flat dict of arrays, and back."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from handgrad.checker.arrays import is_jax, jax_in_use
from handgrad.errors import BadInput

ALONE = "params"
"""The name of a parameter that is not in any container."""


def flattened(tree: Any, name: str = "") -> dict[str, Any]:
    """The arrays in the tree by name: keys joined by dots, positions in brackets, after `name`.

    >>> list(flattened({"a": {"w": 1.0}, "b": [2.0, 3.0]}))
    ['a.w', 'b[0]', 'b[1]']
    """
    leaves: dict[str, Any] = {}
    mapped(tree, leaves.setdefault, name)
    return leaves


def like(tree: Any, leaves: Mapping[str, Any]) -> Any:
    """A tree of the same form with these arrays in it."""
    return mapped(tree, lambda name, _: leaves[name])


def mapped(tree: Any, change: Callable[[str, Any], Any], name: str = "") -> Any:
    """A tree of the same form; `change` gets each leaf and its name, and returns the new one."""
    if isinstance(tree, Mapping):
        return {k: mapped(v, change, f"{name}.{k}" if name else str(k)) for k, v in tree.items()}
    if isinstance(tree, list | tuple):
        made = [mapped(value, change, f"{name}[{k}]") for k, value in enumerate(tree)]
        if hasattr(tree, "_fields"):  # a named tuple
            return type(tree)(*made)
        return made if isinstance(tree, list) else tuple(made)
    node = pytree_node(tree)
    if node is not None:
        parts, form = node
        return form.unflatten([mapped(v, change, f"{name}{key}".lstrip(".")) for key, v in parts])
    return change(name or ALONE, tree)


def pytree_node(tree: Any) -> tuple[list[tuple[str, Any]], Any] | None:
    """The parts of a node that is registered with JAX, and what makes a node of them again.

    None for anything else, as it is where JAX is not in use.
    """
    jax = jax_in_use()
    if jax is None or tree is None or hasattr(tree, "dtype") or jax.tree_util.all_leaves([tree]):
        return None
    trees = jax.tree_util
    parts, form = trees.tree_flatten_with_path(tree, is_leaf=lambda part: part is not tree)
    return [(trees.keystr(path), part) for path, part in parts], form


def gradients_like(tree: Any, given: Any, name: str = "") -> dict[str, Any]:
    """The gradients by the names of the parameters; None stands for 0, whole numbers for floats.

    Raises `BadInput` unless they come in the form of the parameters.
    """
    if isinstance(tree, Mapping):
        if not isinstance(given, Mapping) or set(given) != set(tree):
            got = sorted(given) if isinstance(given, Mapping) else type(given).__name__
            raise BadInput(f"grads must have the names of params, {sorted(tree)}, got {got}")
        parts = [(f"{name}.{k}" if name else str(k), tree[k], given[k]) for k in tree]
    elif isinstance(tree, list | tuple):
        if not isinstance(given, list | tuple) or len(given) != len(tree):
            raise BadInput(f"grads must have {len(tree)} entries as params has, got {given!r:.80}")
        parts = [(f"{name}[{k}]", *pair) for k, pair in enumerate(zip(tree, given, strict=True))]
    elif (node := pytree_node(tree)) is not None:
        theirs = pytree_node(given)
        if theirs is None or theirs[1] != node[1]:
            raise BadInput(f"grads must have the form of params, {tree!r:.60}, got {given!r:.60}")
        pairs = zip(node[0], theirs[0], strict=True)
        parts = [(f"{name}{key}".lstrip("."), p, g) for (key, p), (_, g) in pairs]
    else:
        return {name or ALONE: _as_float(given, tree)}
    return {k: g for own, p, g in parts for k, g in gradients_like(p, g, own).items()}


def _as_float(gradient: Any, parameter: Any) -> Any:
    if gradient is None:
        return np.zeros(np.shape(parameter))
    if hasattr(gradient, "detach") or is_jax(gradient):
        return gradient
    try:
        array = np.asarray(gradient)
    except ValueError:  # ragged: it is told what it must be later
        return gradient
    return array.astype(np.float64) if array.dtype.kind in "iub" else gradient
