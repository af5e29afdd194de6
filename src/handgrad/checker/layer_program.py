"""A layer as one loss and its gradients: copies, upstream gradients, what is whose."""

import copy
import inspect
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from handgrad.checker.arrays import Array
from handgrad.checker.objects import Holder
from handgrad.checker.trees import flattened, gradients_like, mapped
from handgrad.errors import BadInput
from handgrad.inputs import whole_number

Gradients = dict[str, Array]


@dataclass(frozen=True)
class Functions:
    """A forward and a backward function, which keep nothing."""

    forward: Callable[..., Any]
    backward: Callable[..., Any]
    params: ClassVar[Mapping[str, Array]] = {}

    def fresh(self) -> "Functions":
        return self

    def write(self, params: Mapping[str, Array]) -> None:
        """There is nothing to write to."""

    def gradients(self) -> Gradients:
        return {}


def named_arguments(forward: Callable[..., Any], inputs: Any) -> dict[str, Any]:
    """The arguments by forward's own names."""
    arguments = list(inputs) if isinstance(inputs, list | tuple) else [inputs]
    try:
        own = [p.name for p in inspect.signature(forward).parameters.values() if p.kind < 2]
    except (TypeError, ValueError):
        own = []
    names = own + [f"input {k}" for k in range(len(own), len(arguments))]
    return dict(zip(names, arguments, strict=False))


def is_float(value: Any) -> bool:
    return isinstance(value, np.ndarray | np.floating) and value.dtype.kind == "f"


class LayerProgram:
    """The layer as one loss, ⟨upstream gradient, output⟩, and its gradients."""

    def __init__(
        self, layer: "Functions | Holder", named: dict[str, Any], outputs: int | None, seed: int
    ) -> None:
        self.layer, self.named, self.seed = layer, named, seed
        self.inputs = {n: np.array(a) for n, a in flattened(named).items() if is_float(a)}
        self.wanted = [n for n in named if any(self._within(n, leaf) for leaf in self.inputs)]
        self.outputs = None if outputs is None else whole_number("outputs", outputs, at_least=1)
        if isinstance(layer, Holder):
            layer.forget_caches(self._layer_after)
        clash = sorted(set(self.inputs) & set(layer.params))
        if clash:
            raise BadInput(f"{clash[0]} must be an input or a parameter, and is both: rename one")
        self.notes: list[str] = []
        run = Run(self, self.inputs | dict(layer.params))
        rng = np.random.default_rng([seed, 1])
        self.upstream = [upstream_like(rng, o) for o in run.outputs]
        found = run.backward(self.upstream)
        left_out = [n for n in self.inputs if n not in found]
        if left_out:
            self.notes.append(f"{', '.join(left_out)}: not checked: backward returns no gradient")
        given = self.inputs | dict(layer.params)
        self.given = {name: array for name, array in given.items() if name in found}
        if not self.given:
            raise BadInput(
                "there must be a float array with a gradient to check, got none: are the inputs "
                "float arrays?"
            )
        if isinstance(layer, Holder):
            missing = [n for n in layer.params if n not in found]
            self.notes += layer.unused(missing, self._outputs_with)

    @staticmethod
    def _within(name: str, leaf: str) -> bool:
        return leaf == name or leaf.startswith((f"{name}.", f"{name}["))

    def _layer_after(self, params: Mapping[str, Array]) -> Any:
        """The layer after a forward pass with these parameters."""
        return Run(self, self.inputs, params).layer

    def _outputs_with(self, params: Mapping[str, Array]) -> list[Any]:
        return Run(self, self.inputs, params).outputs

    def loss(self, p: Mapping[str, Any]) -> Any:
        outputs = Run(self, p).outputs
        return self.weighted(outputs)

    def weighted(self, outputs: Sequence[Any]) -> Any:
        """The sum of the outputs, each with its upstream gradient."""
        return sum(np.sum(c * o) for c, o in zip(self.upstream, outputs, strict=True))

    def grads(self, p: Mapping[str, Any]) -> dict[str, Any]:
        found = Run(self, p).backward(self.upstream)
        return gradients_like(self.given, {name: found[name] for name in self.given})

    def shares(self, p: Mapping[str, Any], name: str, entry: int) -> tuple[Array, Array]:
        """The derivatives of all outputs by one entry, and their upstream gradients."""
        step = 1e-5 * (float(abs(p[name]).mean()) or 1.0)
        ends = []
        for s in (step, -step):
            moved = np.array(p[name])
            moved.flat[entry] += s
            ends.append(_joined(Run(self, {**p, name: moved}).outputs))
        return (ends[0] - ends[1]) / (2 * step), _joined(self.upstream)

    def tangent(self, jvp: Callable[..., Any], p: Mapping[str, Any], v: Mapping[str, Any]) -> Any:
        """How the loss changes along v, by a rule for the outputs; what v leaves out stands still.

        Raises `BadInput` where the rule gives anything but the outputs' tangents.
        """
        run = Run(self, p)

        def moved(name: str, leaf: Any) -> Any:
            return v.get(name, np.zeros_like(leaf)) if is_float(leaf) else None

        tangents = [mapped(value, moved, name) for name, value in self.named.items()]
        with same_random(self.seed):
            made = jvp(*tangents, *run.cache)
        found = list(made) if isinstance(made, list | tuple) else [made]
        shapes, wanted = [[np.shape(o) for o in outs] for outs in (found, run.outputs)]
        if shapes != wanted:
            raise BadInput(
                f"jvp must return tangents of the outputs' shapes, {wanted}, got {shapes}"
            )
        return self.weighted(found)

    def arguments(self, p: Mapping[str, Any]) -> dict[str, Any]:
        """What forward gets: the arrays of p where it has them, copies of all else."""

        def fresh(name: str, leaf: Any) -> Any:
            value = p.get(name, self.inputs.get(name, leaf))
            return copy.deepcopy(value) if value is leaf else copy.copy(value)

        return {name: mapped(value, fresh, name) for name, value in self.named.items()}

    def by_input(self, given: Any) -> Gradients:
        """What backward returned, by the names of the float arrays among the inputs."""
        if given is None or not self.wanted:
            return {}
        if isinstance(given, Mapping):
            parts = {n: given.get(n, given.get(f"d{n}")) for n in self.wanted}
        elif not isinstance(given, list | tuple):
            parts = {self.wanted[0]: given}
            if len(self.wanted) > 1:
                raise BadInput(self._must("one array"))
        elif len(given) == len(self.wanted):
            parts = dict(zip(self.wanted, given, strict=True))
        elif len(given) == len(self.named):
            parts = {n: g for n, g in zip(self.named, given, strict=True) if n in self.wanted}
        else:
            raise BadInput(self._must(f"{len(given)} gradients"))
        found: Gradients = {}
        for name, gradient in parts.items():
            if gradient is not None:
                found |= gradients_like(self._floats(name), _plain(gradient), name)
        return {name: g for name, g in found.items() if name in self.inputs}

    def _floats(self, name: str) -> Any:
        """An argument without what is no float array in its dicts."""
        tree = self.named[name]
        if not isinstance(tree, Mapping):
            return tree
        leaves = self.inputs
        return {
            k: v for k, v in tree.items() if any(self._within(f"{name}.{k}", n) for n in leaves)
        }

    def _must(self, got: str) -> str:
        return (
            f"backward must return a gradient for each of {', '.join(self.wanted)} (None where "
            f"it computes none), got {got}"
        )


def _joined(arrays: Sequence[Any]) -> Array:
    return np.concatenate([np.ravel(a) for a in arrays])


def _plain(gradient: Any) -> Any:
    """Gradients in a dict may be called dW where the parameter is called W."""
    if not isinstance(gradient, Mapping):
        return gradient
    return {k[1:] if k.startswith("d") and len(k) > 1 else k: v for k, v in gradient.items()}


class Run:
    """One forward pass on fresh copies, after which backward can be called."""

    def __init__(
        self, program: LayerProgram, p: Mapping[str, Any], params: Mapping[str, Any] | None = None
    ) -> None:
        self.program, self.layer = program, program.layer.fresh()
        self.layer.write(params or {n: p[n] for n in self.layer.params if n in p})
        self.arguments = program.arguments(p)
        with same_random(program.seed):
            result = self.layer.forward(*self.arguments.values())
        self.outputs, self.cache = self._split(result)

    def _split(self, result: Any) -> tuple[list[Any], tuple[Any, ...]]:
        """The outputs, and what backward gets after their gradients: the cache, or nothing."""
        items = list(result) if isinstance(result, tuple) else [result]
        names = _positional(self.layer.backward)
        count = self.program.outputs
        if count is None:
            count = self._told(items, names)
        if not 0 <= len(items) - count <= 1:
            raise BadInput(
                f"forward must return {count} outputs, and perhaps a cache, got {len(items)} items"
            )
        return items[:count], tuple(items[count:])

    @staticmethod
    def _told(items: list[Any], names: list[str] | None) -> int:
        """How many outputs backward's arguments tell of."""
        alone = len(items) == 1
        if names is not None and alone and len(names) == 1:
            return 1
        if names is None or len(names) != len(items) or alone:
            takes = "any" if names is None else len(names)
            raise BadInput(
                "backward must take a gradient for each output, and the cache where forward "
                f"returns one, but takes {takes} arguments where forward returns {len(items)} "
                "items: say outputs=…"
            )
        *outputs, cache = items
        like = any(is_float(cache) and np.shape(cache) == np.shape(o) for o in outputs)
        if like and names[-1].startswith("d"):
            raise BadInput(
                f"it must be told whether forward's last item is an output: backward calls it "
                f"{names[-1]}: say outputs={len(items)}, or outputs={len(outputs)} if it is a cache"
            )
        return len(outputs)

    def backward(self, upstream: Sequence[Any]) -> Gradients:
        """All gradients; called again, it is a second backward pass after one forward pass."""
        self.sent = [np.array(c) for c in upstream]
        with same_random(self.program.seed):
            given = self.layer.backward(*self.sent, *self.cache)
        found = self.program.by_input(given) | self.layer.gradients()
        return {name: np.array(g) for name, g in found.items()}


def _positional(function: Callable[..., Any]) -> list[str] | None:
    """The names of the arguments that must be given; None where it cannot be told."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return None
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return None
    return [p.name for p in parameters if p.kind < 2 and p.default is p.empty]


def upstream_like(rng: np.random.Generator, output: Any) -> Any:
    """An upstream gradient: random, in few bits, so that a sum of some is exact."""
    return of_dtype(np.round(2**10 * rng.standard_normal(np.shape(output))) / 2**10, output)


def of_dtype(c: Array, output: Any) -> Any:
    """Numbers of the output's dtype."""
    return np.asarray(c).astype(getattr(output, "dtype", np.float64))


@contextmanager
def same_random(seed: int) -> Iterator[None]:
    """A layer that draws random numbers, as dropout does, draws the same in each call."""
    numpy, python = np.random.get_state(), random.getstate()
    np.random.seed(seed % 2**32)
    random.seed(seed)
    try:
        yield
    finally:
        np.random.set_state(numpy)
        random.setstate(python)
