"""Layer norm as two Numba kernels, written as loops: `handgrad check examples/numba_kernel.py`.

    handgrad check examples/numba_kernel.py:float32   the same kernels on float32 arrays
    handgrad check examples/numba_kernel.py:wrong     dx is written while its sums still grow

Numba compiles a kernel once for each dtype, so the float32 one is held to itself in float64.
"""

import numpy as np
from numba import njit


@njit
def forward(x, gamma, beta):
    rows, columns = x.shape
    y, x_hat, scale = np.empty_like(x), np.empty_like(x), np.empty_like(x[:, 0])
    for i in range(rows):
        mean = 0.0
        for j in range(columns):
            mean += x[i, j] / columns
        variance = 0.0
        for j in range(columns):
            variance += (x[i, j] - mean) ** 2 / columns
        scale[i] = 1 / np.sqrt(variance + 1e-5)
        for j in range(columns):
            x_hat[i, j] = (x[i, j] - mean) * scale[i]
            y[i, j] = gamma[j] * x_hat[i, j] + beta[j]
    return y, (x_hat, scale, gamma)


@njit
def backward(dy, cache):
    x_hat, scale, gamma = cache
    rows, columns = dy.shape
    dx, dgamma, dbeta = np.empty_like(dy), np.zeros_like(gamma), np.zeros_like(gamma)
    for i in range(rows):
        along_one, along_x_hat = 0.0, 0.0
        for j in range(columns):
            along_one += dy[i, j] * gamma[j] / columns
            along_x_hat += dy[i, j] * gamma[j] * x_hat[i, j] / columns
            dgamma[j] += dy[i, j] * x_hat[i, j]
            dbeta[j] += dy[i, j]
        for j in range(columns):
            g = dy[i, j] * gamma[j]
            dx[i, j] = scale[i] * (g - along_one - x_hat[i, j] * along_x_hat)
    return dx, dgamma, dbeta


@njit
def backward_in_one_loop(dy, cache):
    x_hat, scale, gamma = cache
    rows, columns = dy.shape
    dx, dgamma, dbeta = np.empty_like(dy), np.zeros_like(gamma), np.zeros_like(gamma)
    for i in range(rows):
        along_one, along_x_hat = 0.0, 0.0
        for j in range(columns):
            g = dy[i, j] * gamma[j]
            along_one += g / columns
            along_x_hat += g * x_hat[i, j] / columns
            dgamma[j] += dy[i, j] * x_hat[i, j]
            dbeta[j] += dy[i, j]
            # both sums lack the columns after j
            dx[i, j] = scale[i] * (g - along_one - x_hat[i, j] * along_x_hat)
    return dx, dgamma, dbeta


rng = np.random.default_rng(0)
inputs = [rng.standard_normal((2, 3)), rng.standard_normal(3), rng.standard_normal(3)]

wrong = {"forward": forward, "backward": backward_in_one_loop, "inputs": inputs}
float32 = {
    "forward": forward,
    "backward": backward,
    "inputs": [a.astype(np.float32) for a in inputs],
}
