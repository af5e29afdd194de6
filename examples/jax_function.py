"""A function of JAX with a derivative of its own: `handgrad check examples/jax_function.py`.

`wrong` stops the gradient of the norm. JAX computes in float32 here, and so the check holds it to
the same function in float64.
"""

import jax
import jax.numpy as jnp


@jax.custom_vjp
def unit(x):
    """Each row divided by its length."""
    return x / jnp.linalg.norm(x, axis=-1, keepdims=True)


def unit_forward(x):
    return unit(x), x


def unit_backward(x, g):
    r = jnp.linalg.norm(x, axis=-1, keepdims=True)
    u = x / r
    return ((g - u * jnp.sum(u * g, axis=-1, keepdims=True)) / r,)


unit.defvjp(unit_forward, unit_backward)


@jax.custom_vjp
def stopped(x):
    return x / jnp.linalg.norm(x, axis=-1, keepdims=True)


stopped.defvjp(
    lambda x: (stopped(x), x), lambda x, g: (g / jnp.linalg.norm(x, axis=-1, keepdims=True),)
)

module = unit
inputs = [jax.random.normal(jax.random.key(0), (4, 3))]
vmap = True

wrong = {"module": stopped, "inputs": inputs}
