"""Parameters that live in a set: `handgrad check examples/in_a_set.py`.

p are probabilities, and the loss is their entropy. Off the simplex it may not be defined, so
`project` brings every step back. `shifted` leaves out the 1 of d(p log p) = log p + 1: on the
simplex no direction can see that, and the report says so. `wrong` has a factor too many.
"""

import numpy as np

params = np.array([0.1, 0.2, 0.3, 0.4])


def loss(p):
    return (p * np.log(p)).sum()


def grads(p):
    return np.log(p) + 1


def project(p):
    return p / p.sum()


shifted = {"params": params, "loss": loss, "grads": np.log, "project": project}
wrong = {"params": params, "loss": loss, "grads": lambda p: 2 * np.log(p), "project": project}
