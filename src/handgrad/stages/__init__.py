"""The four stages, and the contract that an engine must keep to be trained and compared.

A stage is a module of plain functions with the same names in the same order, so that `diff`
between two of them reads as the lesson. Any object with these functions is an engine: a module, a
`types.SimpleNamespace`, an instance. Only what is asked for is imported, so that stage 1 loads no
torch.
"""

from collections.abc import Iterator
from importlib import import_module
from typing import Any, Protocol, cast, runtime_checkable

import numpy as np

from handgrad.errors import BadInput
from handgrad.extras import needed_for
from handgrad.inputs import shown
from handgrad.problem import Array

STAGES = ("numpy_manual", "pytorch_no_autograd", "pytorch_autograd", "pytorch_nn_module")
REFERENCE = STAGES[0]
BREAKS = (Exception, SystemExit)
"""What an engine may raise; Ctrl-C is not its own."""


@runtime_checkable
class Stage(Protocol):
    """What an engine must have. "Native" means its array type, such as a tensor.

    >>> import numpy as np
    >>> from handgrad import Config, make_problem
    >>> stage = load("numpy_manual")
    >>> problem = make_problem(Config(hidden=3, n_train=4, batch_size=2, epochs=5))
    >>> given = problem.x_train, problem.y_train, *problem.params
    >>> x, y, *params = [stage.to_native(array, "cpu") for array in given]
    >>> a1, h1, f = stage.forward(x, *params)
    >>> a1.shape, f.shape, stage.loss(f, y).shape
    ((4, 3), (4, 1), ())
    >>> [stage.to_numpy(d).shape for d in stage.backward(x, y, *params)]
    [(3, 2), (3,), (1, 3), (1,)]
    >>> order = np.asarray(problem.order)
    >>> len(list(stage.sgd(tuple(params), x, y, order, batch_size=2, lr=0.1)))
    10

    Shapes are those of the stages: x (B, 2), y (B, 1), W1 (h, 2), b1 (h,), W2 (1, h), b2 (1,),
    a1 and h1 (B, h), f (B, 1), L (). Native arrays keep the dtype they were given.
    """

    name: str

    def to_native(self, array: Array, device: str) -> Any:
        """A native copy of the array, on that device."""

    def to_numpy(self, native: Any) -> Array:
        """The values of a native array."""

    def forward(self, x: Any, W1: Any, b1: Any, W2: Any, b2: Any) -> tuple[Any, Any, Any]:
        """a1, h1, f."""

    def loss(self, f: Any, y: Any) -> Any:
        """L."""

    def backward(self, x: Any, y: Any, W1: Any, b1: Any, W2: Any, b2: Any) -> tuple[Any, ...]:
        """dW1, db1, dW2, db2."""

    def sgd(
        self, params: Any, x: Any, y: Any, order: Any, batch_size: int, lr: float
    ) -> Iterator[Any]:
        """Yields W1, b1, W2, b2 after every update; order (epochs, N) are row numbers.

        The arrays received stay as they are; the arrays yielded may change at the next step. A
        long run is handed over in pieces, some 100,000 row numbers in each, and a resumed one from
        its checkpoint on: what an engine keeps besides the parameters begins anew there.
        """


def load(stage: str | Stage) -> Stage:
    """The stage of that name, or the engine itself. Raises `BadInput` for anything else.

    >>> load("numpy_manual").name
    'numpy_manual'
    """
    if isinstance(stage, str):
        if stage not in STAGES:
            raise BadInput(f"stage must be one of {', '.join(STAGES)}, got {shown(stage)}")
        with needed_for(stage):
            return cast(Stage, import_module(f"{__name__}.{stage}"))
    if not isinstance(stage, Stage) or not isinstance(stage.name, str):
        need = "name, to_native, to_numpy, forward, loss, backward, sgd"
        raise BadInput(f"an engine must have {need}, got {shown(stage)} without some of them")
    return stage


def require_device(stage: Stage, device: str, dtype: str) -> None:
    """Raises `BadInput` unless the stage can hold numbers of that dtype on that device."""
    try:
        stage.to_numpy(stage.to_native(np.zeros(1, dtype), device))
    except BREAKS as error:  # PyTorch has a type of its own for nearly every reason
        said = str(error).split("\n")[0]
        raise BadInput(
            f"device must be one that {stage.name} can use for {dtype}, got {shown(device)} "
            f"({said}): try cpu"
        ) from None
