"""NumPy code that runs on exact numbers as it is: its gradients can be proved, not only tested.

It comes after the slopes, which have seen the code with floats: another branch for objects, or an
error that is smaller than rounding, changes no verdict.
"""

from collections.abc import Sequence

import numpy as np

from handgrad.checker.places import Place
from handgrad.checker.program import Program
from handgrad.exact.numbers import at_most
from handgrad.exact.proof import OnAKink, prove_beside, rounded_up

PRODUCTS, NUMBERS = 4000, 1000
"""More of them are not tried: a proof must cost no more than the check."""


def can_be_proved(program: Program) -> bool:
    """Whether it is worth a try."""
    params = program.native.params.values()
    plain = all(isinstance(p, np.ndarray) and p.dtype == np.float64 for p in params)
    alone = program.reference is None and program.both is None and callable(program.grads)
    return alone and plain and sum(p.size for p in params) <= NUMBERS


def proved(program: Program, places: Sequence[Place]) -> list[str]:
    """A sentence, if the gradients were proved beside the points; none where they cannot be."""
    proofs = []
    try:
        for place in places:
            try:
                with at_most(PRODUCTS):
                    proofs.append(prove_beside(program.loss, program.grads, [place.slopes.point]))
            except OnAKink:
                continue
        program.both_at(program.native.arrays())  # what the code keeps must be floats again
    except Exception:  # it is not made of what exact numbers can do, or takes too long
        return []
    if not proofs or not all(proofs):
        return []
    chance, count = max(proof.chance for proof in proofs), len(proofs)
    where = "1 point" if count == 1 else f"{count} points"
    return [
        f"proved exactly beside {where}: a wrong gradient would pass there with a chance below "
        f"{rounded_up(chance)}"
    ]
