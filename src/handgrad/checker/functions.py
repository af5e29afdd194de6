"""Is this backward pass the derivative of this forward pass? For any code, not only ours."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from handgrad.checker.arrays import Native, is_jax
from handgrad.checker.check import check
from handgrad.checker.complex_numbers import Pairs
from handgrad.checker.gpu import on_a_gpu
from handgrad.checker.places import Options
from handgrad.checker.program import Program
from handgrad.checker.report import FAIL, PASS, Report
from handgrad.checker.sets import check_on_a_set
from handgrad.checker.stack import Stack
from handgrad.checker.trees import flattened, gradients_like, like
from handgrad.checker.verdict import fresh_seed
from handgrad.checker.wider import in_float64
from handgrad.errors import BadInput
from handgrad.inputs import require_flags, require_functions, require_type


def gradcheck(
    loss: Callable[[Any], Any],
    params: Any,
    grads: Any,
    *,
    activations: Callable[[Any], Any] | None = None,
    structure: Stack | None = None,
    reference: Callable[[Any], Any] | None = None,
    project: Callable[[Any], Any] | None = None,
    conjugate: bool | None = None,
    points: int = 3,
    directions: int | None = None,
    rtol: float = 0.0,
    resolve: float = 0.01,
    delta: float = 0.01,
    seed: int | None = None,
    entries: bool = False,
) -> Report:
    """Compare gradients with slopes of the loss along random directions.

    >>> import numpy as np
    >>> params = {"x": np.array([1.0, 2.0])}
    >>> def loss(p):
    ...     return (p["x"] ** 2).sum() / 2
    >>> gradcheck(loss, params, lambda p: {"x": p["x"]}).verdict
    'pass'
    >>> gradcheck(loss, params, lambda p: {"x": -p["x"]})["x"].cause
    'its sign is wrong'

    Args:
        loss: params → one number, the same every time.
        params: float or complex arrays or tensors of any shape (NumPy's, PyTorch's, JAX's), in a
            dict, a list, a tuple, a pytree of JAX's, any nesting of them, or alone. Of a complex
            one the real and imaginary parts are checked: [..., 0] and [..., 1].
        grads: the gradients in the same form and shapes (None for a parameter that is not used),
            or a function of params that returns them. A function is checked at `points` points,
            gradients that are given at the given one alone.
        activations: params → what enters the ReLUs of a stack of affine layers: arrays (samples,
            units), a list, or a dict of them. With it no kink lies between the ends of any
            difference, for certain, and units that hide mistakes are reported.
        structure: a `Stack` of affine and ReLU layers that is the loss. It brings the activations,
            and causes that need to know the layers (which mask, which axis, which layer).
        reference: the same loss in float64, for a loss and grads that are float32, bfloat16 or a
            kernel's. It gets the params in float64, as activations then does. Loss and gradients
            are held to it as closely as their dtype can: see `rounding.Results`.
        project: params → the nearest ones in the set that they live in (a simplex, symmetric or
            orthogonal matrices), in the same form. Slopes are those of loss(project(params)), and
            the gradients are compared along directions that stay in the set.
        conjugate: whether the gradient by a complex z is ∂L/∂Re − i ∂L/∂Im, as JAX and HIPS
            autograd give it, or ∂L/∂Re + i ∂L/∂Im. Where left out, PyTorch's tensors have the
            second, all other arrays the first; the report says which.
        points: the given one and others nearby, which move what starts at 1 or 0.
        directions: random ones at each point, for all parameters at once where nothing is suspect,
            else for each. 1 and 2 if left out; 8 for dtypes narrower than float32.
        rtol: an error of the gradient, over its norm, that is allowed: a known approximation.
        resolve: "inconclusive" unless an error of this share of the gradient would be caught. For
            dtypes narrower than float32, 64 times their spacing where that is more.
        delta: the chance with which an error as large as the bound is missed.
        seed: of the directions, drawn afresh when left out.
        entries: measure a wrong gradient by each entry, up to 4,096 of them: `given` and `right` in
            its report, which `handgrad check --figure` draws.

    Returns:
        A `Report`, which is true if it passes.

    Raises:
        BadInput: where loss, params or grads cannot be checked at all.
    """
    require_functions(loss=loss)
    require_functions(activations=activations, reference=reference, project=project, optional=True)
    if structure is not None:
        require_type("structure", structure, Stack)
    if conjugate is not None:
        require_flags(conjugate=conjugate)
    options = Options(points, directions, rtol, resolve, delta, fresh_seed(seed), entries)
    given = flattened(params)
    pairs = Pairs.of(given, conjugate)
    caller = _Caller(params, given, pairs)
    if project is not None:
        if pairs.names or reference or activations or structure or not callable(grads):
            raise BadInput(
                "project must come with loss, real params and grads, a function, and nothing else"
            )
        flat_loss: Any = caller.of_flat(loss)
        flat_grads = caller.gradients(grads, pairs)

        def inside(p: Any) -> dict[str, Any]:
            return flattened(project(like(params, p)))

        return check_on_a_set(flat_loss, flat_grads, inside, given, options)
    native = Native(pairs.apart(given), narrow=reference is not None)
    if any(map(is_jax, given.values())) and reference is not None:
        reference = in_float64(reference)
    flat = [caller.of_flat(f) for f in (loss, activations, reference)]
    program = Program(native, flat[0], None, flat[1], structure, flat[2])  # type: ignore[arg-type]
    with on_a_gpu():
        return _by_convention(program, caller, grads, options)


@dataclass(frozen=True)
class _Caller:
    """The caller's tree of parameters, and the flat dict of real arrays that is checked."""

    params: Any
    given: dict[str, Any]
    pairs: Pairs

    def of_flat(self, function: Callable[[Any], Any] | None) -> Callable[[Any], Any] | None:
        """The caller's function, as one of the flat dict."""
        params, pairs = self.params, self.pairs
        flat = isinstance(params, dict) and list(params) == list(self.given) and not pairs.names
        if function is None or flat:
            return function
        return lambda p: function(like(params, pairs.together(p)))

    def gradients(self, grads: Any, pairs: Pairs) -> Any:
        """The gradients by the flat dict's names: a function where they are one."""
        if not callable(grads):
            return pairs.gradients(gradients_like(self.params, grads))
        theirs: Any = self.of_flat(grads)
        return lambda p: pairs.gradients(gradients_like(self.params, theirs(p)))


def _by_convention(program: Program, caller: _Caller, grads: Any, options: Options) -> Report:
    """The check; of wrong complex gradients it is seen whether they are conjugates."""

    def checked(pairs: Pairs) -> Report:
        own = replace(program, grads=caller.gradients(grads, pairs))
        return check(own, options, np.random.default_rng(options.seed))

    pairs = caller.pairs
    report = checked(pairs)
    if not pairs.names:
        return report
    report = replace(report, notes=(*report.notes, str(pairs)))
    wrong = {n for n in pairs.names if report[n].verdict == FAIL}
    if not wrong:
        return report
    other = replace(pairs, conjugate=not pairs.conjugate)
    turned = checked(other)
    why = f"it is the conjugate of the right one: or give conjugate={other.conjugate}"
    found = {
        n: replace(p, cause=why) if n in wrong and turned[n].verdict == PASS else p
        for n, p in report.parameters.items()
    }
    return replace(report, parameters=found)
