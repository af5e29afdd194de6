"""The gradient check for JAX: a function of arrays and pytrees, with its arguments."""

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from handgrad.checker.arrays import Native, eps_of, is_jax
from handgrad.checker.batches import Run, differing_batches, with_batches
from handgrad.checker.check import check
from handgrad.checker.complex_numbers import Pairs
from handgrad.checker.forward_mode import with_forward_mode
from handgrad.checker.places import Options
from handgrad.checker.program import Program
from handgrad.checker.report import Report, joined
from handgrad.checker.trees import flattened, mapped
from handgrad.checker.wider import in_float64
from handgrad.errors import BadInput

Arrays = Mapping[str, Any]

UPSTREAM = "upstream gradient"

NO_RULE = ("Batching rule for",)


def gradcheck_jax(
    function: Callable[..., Any],
    arguments: Sequence[Any],
    named: Mapping[str, Any],
    reference: Callable[..., Any] | None,
    options: Options,
    second: bool,
    forward_ad: bool,
    vmap: bool,
) -> Report:
    """The check of a function of JAX's arrays, as `gradcheck_module` describes it."""
    rng = np.random.default_rng(options.seed)
    program = JaxProgram(function, arguments, named, rng)
    wide = None if reference is None else program.of(reference).loss
    report = _checked(program.loss, program.params, options, wide)
    if second and report:
        found = _checked(program.second(rng), program.params | program.upstream, options)
        report = joined(report, found, "second")
    if forward_ad:
        loss, grads = program.loss, jax.grad(program.loss)
        rule, p = program.tangent, program.params
        report = with_forward_mode(report, _compiled(loss, p), grads, rule, p, options)
    if vmap:
        report = with_batches(report, program.batches(rng))
    return report


def _checked(
    loss: Callable[[Any], Any],
    params: Arrays,
    options: Options,
    reference: Callable[[Any], Any] | None = None,
) -> Report:
    native = Native(params, narrow=reference is not None)
    wide = None if reference is None else in_float64(reference)
    program = Program(
        native, _compiled(loss, params), _compiled(jax.grad(loss), params), reference=wide
    )
    return check(program, options, np.random.default_rng(options.seed))


def _compiled(function: Callable[[Any], Any], params: Arrays) -> Callable[[Any], Any]:
    """Compiled, as it is called often; as it is, where it cannot be traced."""
    made = jax.jit(function)
    try:
        made(params)
    except Exception:  # it looks at values, or calls something outside
        return function
    return made


class JaxProgram:
    """A function with its arguments, as a loss of named real arrays.

    params: the float and complex arrays among the arguments, complex ones as pairs; covectors: the
    random weight of each output.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        arguments: Sequence[Any],
        named: Mapping[str, Any],
        rng: np.random.Generator,
    ) -> None:
        self.function, self.arguments, self.named = function, tuple(arguments), dict(named)
        given = {
            n: jnp.asarray(a)
            for k, value in [*enumerate(arguments), *named.items()]
            for n, a in flattened(value, f"input {k}").items()
            if _has_gradient(a)
        }
        if not given:
            raise BadInput("there must be a float array among the inputs to check, got none")
        self.pairs = Pairs.of(given)
        self.params = self.pairs.apart(given)
        outputs = self.outputs(self.params)
        if not outputs:
            raise BadInput("the function must return a float array, or several")
        self.covectors = [_covector(o, rng) for o in outputs]

    def of(self, function: Callable[..., Any]) -> "JaxProgram":
        """The same arguments and weights, with another function."""
        made = copy.copy(self)
        made.function = function
        return made

    def outputs(self, p: Arrays) -> list[Any]:
        """What the function returns, every float or complex array in it."""
        own = self.pairs.together(p)

        def argument(name: str, leaf: Any) -> Any:
            return own.get(name, leaf)

        arguments = [mapped(a, argument, f"input {k}") for k, a in enumerate(self.arguments)]
        named = {k: mapped(a, argument, f"input {k}") for k, a in self.named.items()}
        return [o for o in jax.tree.leaves(self.function(*arguments, **named)) if _has_gradient(o)]

    def loss(self, p: Arrays) -> Any:
        """The sum of the outputs, each with its random weight."""
        return _weighted(self.outputs(p), self.covectors)

    @property
    def upstream(self) -> dict[str, Any]:
        """The weights, as parameters of the gradients."""
        return Pairs.of(self._weights).apart(self._weights)

    @property
    def _weights(self) -> dict[str, Any]:
        return {f"{UPSTREAM}[{k}]": c for k, c in enumerate(self.covectors)}

    def second(self, rng: np.random.Generator) -> Callable[[Arrays], Any]:
        """The gradients with random weights, as a loss of the parameters and the upstream."""
        weights = {n: _covector(a, rng) for n, a in self.params.items()}
        names, pairs = list(self._weights), Pairs.of(self._weights)

        def loss(p: Arrays) -> Any:
            whole = pairs.together(p)
            own = {n: p[n] for n in self.params}
            upstream = [whole[n] for n in names]
            found = jax.grad(lambda q: _weighted(self.outputs(q), upstream))(own)
            return _weighted(list(found.values()), list(weights.values()))

        return loss

    def tangent(self, p: Arrays, v: Arrays) -> Any:
        """How the loss changes along v. Raises `BadInput` where there is no rule for it."""
        moved = {n: p[n] for n in v}
        try:
            return jax.jvp(lambda q: self.loss({**p, **q}), (moved,), (dict(v),))[1]
        except TypeError as error:
            said = " ".join(str(error).split())
            raise BadInput(
                f"forward_ad must find a rule for all that is computed: {said}"
            ) from None

    def batches(self, rng: np.random.Generator) -> list[str]:
        """How outputs and gradients under `jax.vmap` differ from those of a loop."""
        names = [n for n in self.params if n not in self.pairs.names]
        if not names:
            raise BadInput("vmap must have a real float input to batch, got none")
        return differing_batches(
            self._functions,
            {n: self.params[n] for n in names},
            rng,
            lambda run, axis: jax.vmap(run, in_axes=axis),
            lambda arrays, axis: jnp.stack(list(arrays), axis),
            _same,
            NO_RULE,
        )

    def _functions(self, names: Sequence[str]) -> list[tuple[Run, list[str]]]:
        def outputs(*leaves: Any) -> list[Any]:
            return self.outputs({**self.params, **dict(zip(names, leaves, strict=True))})

        def gradients(*leaves: Any) -> Any:
            return jax.vjp(outputs, *leaves)[1](list(self.covectors))

        results = [f"output {k}" for k in range(len(self.covectors))]
        return [(outputs, results), (gradients, [f"the gradient of {n}" for n in names])]


def is_for_jax(function: Any, inputs: Any) -> bool:
    """Whether JAX's arrays are among the inputs, or the function is one of JAX's."""
    if isinstance(function, jax.custom_vjp | jax.custom_jvp):
        return True
    return any(is_jax(leaf) for leaf in flattened(inputs).values())


def _has_gradient(a: Any) -> bool:
    return hasattr(a, "dtype") and jnp.issubdtype(a.dtype, jnp.inexact) and a.size > 0


def _weighted(outputs: Sequence[Any], weights: Sequence[Any]) -> Any:
    pairs = zip(outputs, weights, strict=True)
    return sum(jnp.sum((jnp.conj(jnp.asarray(c, o.dtype)) * o).real) for o, c in pairs)


def _covector(o: Any, rng: np.random.Generator) -> Any:
    c = rng.standard_normal(o.shape)
    if jnp.issubdtype(o.dtype, jnp.complexfloating):
        c = c + 1j * rng.standard_normal(o.shape)
    return jnp.asarray(c, o.dtype)


def _same(one: Any, other: Any) -> bool:
    """Equal as far as another order of additions may make them."""
    if one.shape != other.shape:
        return False
    size = float(jnp.max(jnp.abs(other), initial=0.0))
    return bool(jnp.max(jnp.abs(one - other), initial=0.0) <= eps_of(other) ** 0.5 * size)
