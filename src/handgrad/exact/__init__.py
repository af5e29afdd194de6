"""Exact arithmetic: proofs of gradients, and one network worked by hand in fractions."""

from handgrad.exact.claims import Refuted
from handgrad.exact.hand_worked import BATCH_SIZE, LR, Worked, worked
from handgrad.exact.networks import equivalent, prove_sgd, prove_stack, prove_stage
from handgrad.exact.numbers import Degree, Dual
from handgrad.exact.proof import Proof, prove, prove_equal

__all__ = [
    "BATCH_SIZE",
    "LR",
    "Degree",
    "Dual",
    "Proof",
    "Refuted",
    "Worked",
    "equivalent",
    "prove",
    "prove_equal",
    "prove_sgd",
    "prove_stack",
    "prove_stage",
    "worked",
]
