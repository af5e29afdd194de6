"""RMS norm in C, called through ctypes: `handgrad check examples/c_function.py`.

The C compiler `cc` must be there. `:wrong` assigns to dgain where it must add: one row counts.
"""

import ctypes
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np

SOURCE = r"""
#include <math.h>

/* y = gain * x * scale, with scale = 1 / sqrt(mean of x^2 + 1e-6) of each row */
void forward(int rows, int columns, const double *x, const double *gain,
             double *y, double *scale) {
    for (int i = 0; i < rows; i++) {
        double squares = 0;
        for (int j = 0; j < columns; j++)
            squares += x[i * columns + j] * x[i * columns + j];
        scale[i] = 1 / sqrt(squares / columns + 1e-6);
        for (int j = 0; j < columns; j++)
            y[i * columns + j] = gain[j] * x[i * columns + j] * scale[i];
    }
}

void backward(int rows, int columns, const double *dy, const double *x, const double *gain,
              const double *scale, double *dx, double *dgain) {
    for (int i = 0; i < rows; i++) {
        double along_x = 0;
        for (int j = 0; j < columns; j++) {
            along_x += dy[i * columns + j] * gain[j] * x[i * columns + j] / columns;
            dgain[j] += dy[i * columns + j] * x[i * columns + j] * scale[i];
        }
        for (int j = 0; j < columns; j++) {
            double shared = x[i * columns + j] * scale[i] * scale[i] * along_x;
            dx[i * columns + j] = scale[i] * (dy[i * columns + j] * gain[j] - shared);
        }
    }
}
"""


def compiled(source):
    if shutil.which("cc") is None:
        raise ImportError("a C compiler must be there: cc was not found")
    command = ["cc", "-O2", "-shared", "-fPIC", "rms_norm.c", "-o", "rms_norm.so", "-lm"]
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "rms_norm.c").write_text(source)
        subprocess.run(command, cwd=folder, check=True)
        return ctypes.CDLL(str(Path(folder, "rms_norm.so")))


def in_memory(array):
    """What C can read.

    C gets an address, and no shape, strides or dtype. It would read the rows of a transposed view
    in another order, and two float32 numbers as one double, and report neither.
    """
    return np.ascontiguousarray(array, dtype=np.float64)


def call(function, shape, *arrays):
    function(*map(ctypes.c_int, shape), *(ctypes.c_void_p(a.ctypes.data) for a in arrays))


class RmsNorm:
    """The two C functions as forward → (out, cache) and backward(dout, cache)."""

    def __init__(self, source):
        self.library = compiled(source)

    def forward(self, x, gain):
        x, gain = in_memory(x), in_memory(gain)
        y, scale = np.empty(x.shape), np.empty(len(x))
        call(self.library.forward, x.shape, x, gain, y, scale)
        return y, (x, gain, scale)

    def backward(self, dy, cache):
        x, gain, scale = cache
        dx, dgain = np.empty(x.shape), np.zeros(gain.shape)
        call(self.library.backward, x.shape, in_memory(dy), x, gain, scale, dx, dgain)
        return dx, dgain


rng = np.random.default_rng(0)
inputs = [rng.standard_normal((4, 3)), rng.standard_normal(3)]

right = RmsNorm(SOURCE)
forward, backward = right.forward, right.backward

overwriting = RmsNorm(SOURCE.replace("dgain[j] += ", "dgain[j] = "))
wrong = {"forward": overwriting.forward, "backward": overwriting.backward, "inputs": inputs}
