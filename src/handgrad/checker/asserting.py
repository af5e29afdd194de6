"""A gradient check as an assertion, for a test."""

from typing import Any

from handgrad import running
from handgrad.checker.functions import gradcheck
from handgrad.checker.layer import gradcheck_layer
from handgrad.checker.pytorch import gradcheck_module
from handgrad.checker.report import Report
from handgrad.errors import BadInput


def assert_gradients(*arguments: Any, **options: Any) -> None:
    """Any of the checks, for a test: raises `AssertionError` with the report unless it passes.

    >>> import numpy as np
    >>> w = {"w": np.array([1.0, -2.0])}
    >>> assert_gradients(lambda p: (p["w"] ** 2).sum(), w, lambda p: {"w": 2 * p["w"]})
    >>> assert_gradients(lambda x: (x**2, x), lambda dout, x: 2 * x * dout, w["w"])

    Args:
        arguments: (loss, params, grads) as for `gradcheck`; (forward, backward, inputs) as for
            `gradcheck_layer`, or an object and inputs=…; (module, inputs) as for
            `gradcheck_module`.
        options: of that check. Under pytest, `@pytest.mark.gradcheck(…)` gives some to all checks
            of a test, and the seed is made of the test's name where none is given.

    Raises:
        AssertionError: with the report, unless the verdict is "pass".
        BadInput: as the check does.
    """
    __tracebackhide__ = True
    _checked(arguments, {**_of_the_test(), **options}).raise_if_failed()


def _of_the_test() -> dict[str, Any]:
    return {} if running.current is None else dict(running.current.options)


def _checked(arguments: tuple[Any, ...], options: dict[str, Any]) -> Report:
    __tracebackhide__ = True
    named = set(options)
    if "loss" in named or (len(arguments) == 3 and not callable(arguments[1])):
        return gradcheck(*arguments, **options)
    if "backward" in named or (len(arguments) > 1 and callable(arguments[1])):
        return gradcheck_layer(*arguments, **options)
    first = arguments[0] if arguments else options.get("forward", options.get("module"))
    layer = callable(getattr(first, "backward", None)) and not hasattr(first, "parameters")
    if layer:
        return gradcheck_layer(*arguments, **options)
    if len(arguments) == 2 or "inputs" in named:
        return gradcheck_module(*arguments, **options)
    raise BadInput(
        "it must be given loss, params and grads; forward, backward and inputs; or module and "
        f"inputs, got {len(arguments)} arguments"
    )
