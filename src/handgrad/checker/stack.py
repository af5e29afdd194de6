"""A stack of affine layers with ReLU between them: with it, structural causes can be named."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from handgrad.checker.arrays import Array, Params, as_array
from handgrad.mistakes import CATALOGUE, Gradients, Mistake, backward, forward

EXACT = 1e-9
"""Two programs that do the same arithmetic agree to this share of their largest entry."""


@dataclass(frozen=True, eq=False)
class Stack:
    """What the loss is made of: L = mean of ½ (f − y)², f the last of the affine layers.

    >>> import numpy as np
    >>> from handgrad.mistakes import CATALOGUE
    >>> rng = np.random.default_rng(0)
    >>> x, y = rng.standard_normal((4, 2)), rng.standard_normal((4, 1))
    >>> stack = Stack(weights=["W1", "W2"], biases=["b1", "b2"], x=x, y=y)
    >>> shapes = {"W1": (3, 2), "b1": (3,), "W2": (1, 3), "b2": (1,)}
    >>> p = {name: rng.standard_normal(shape) for name, shape in shapes.items()}
    >>> stack.loss(p) > 0, stack.activations(p)["layer 1"].shape
    (True, (4, 3))
    >>> wrong = CATALOGUE["ReLU left out"].backward(1)
    >>> dWs, dbs = wrong([p["W1"], p["W2"]], [p["b1"], p["b2"]], x, y)
    >>> given = {"W1": dWs[0], "W2": dWs[1], "b1": dbs[0], "b2": dbs[1]}
    >>> stack.causes(p, given)[0].split(":")[0]
    "The ReLU's derivative is missing"
    >>> stack.between({"W1", "b1"}).split(": ")[1]
    'the mistake lies between layers 2 and 1'

    Attributes:
        weights: the parameters' names, from the input up, shapes (n_out, n_in).
        biases: the same, shapes (n_out,).
        x: (B, n_in).
        y: (B, 1).
    """

    weights: Sequence[str]
    biases: Sequence[str]
    x: Array
    y: Array

    def __post_init__(self) -> None:
        for name in ("x", "y"):
            object.__setattr__(self, name, np.asarray(as_array(getattr(self, name))))

    def loss(self, point: Params) -> float:
        """The loss that the structure stands for."""
        f = forward(*self._parameters(point), self.x)[0][-1]
        return float(0.5 * ((f - self.y) ** 2).mean())

    def activations(self, point: Params) -> dict[str, Array]:
        """What enters the ReLU behind each layer but the last."""
        pre = forward(*self._parameters(point), self.x)[0][:-1]
        return {f"layer {k}": a for k, a in enumerate(pre, 1)}

    def causes(self, point: Params, gradients: Mapping[str, Array]) -> list[str]:
        """A sentence for each mistake of the catalogue that gives exactly these gradients."""
        found = []
        for mistake in CATALOGUE.values():
            for layer in mistake.layers(len(self.weights)):
                number = self._matches(mistake, layer, point, gradients)
                if number is not None:
                    fitted = f", with a learning rate of {number:.6g}" if number else ""
                    found.append(
                        f"{mistake.sentence} In layer {layer + 1}: `{mistake.line}`{fitted}, "
                        f"where `{mistake.right}` belongs"
                    )
        return found

    def between(self, wrong: set[str]) -> str | None:
        """Between which layers the mistake lies, where the right and wrong parameters tell."""
        layers = [{w, b} for w, b in zip(self.weights, self.biases, strict=True)]
        for k in range(1, len(layers)):
            below, above = set().union(*layers[:k]), set().union(*layers[k:])
            if below <= wrong and not above & wrong:
                return (
                    f"all is wrong up to layer {k} and right above it: the mistake lies between "
                    f"layers {k + 1} and {k}"
                )
        return None

    def _matches(
        self, mistake: Mistake, layer: int, point: Params, gradients: Mapping[str, Array]
    ) -> float | None:
        """The free number with which the mistake gives these gradients, 0 where it has none."""
        parameters = self._parameters(point)
        try:
            made = [
                self._flat(mistake.backward(layer, lr=lr)(*parameters, self.x, self.y))
                for lr in ((0.0, 1.0) if "lr" in mistake.line else (0.0,))
            ]
        except ValueError:  # NumPy refuses the shapes
            return None
        given = np.concatenate([gradients[name].ravel() for name in self._names()])
        if any(m.shape != given.shape for m in made):
            return None
        number, candidate = 0.0, made[0]
        if len(made) == 2:  # the gradients are linear in the learning rate
            change = made[1] - made[0]
            number = float(change @ (given - made[0]) / (change @ change or 1.0))
            candidate = made[0] + number * change
        right = self._flat(backward(*parameters, self.x, self.y))
        size = EXACT * float(abs(given).max())
        same = abs(candidate - given).max() <= size and abs(candidate - right).max() > size
        return number if same else None

    def _parameters(self, point: Params) -> tuple[list[Array], list[Array]]:
        return [point[w] for w in self.weights], [point[b] for b in self.biases]

    def _names(self) -> list[str]:
        return [*self.weights, *self.biases]

    def _flat(self, gradients: Gradients) -> Array:
        return np.concatenate([g.ravel() for part in gradients for g in part])
