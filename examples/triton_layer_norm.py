"""Layer norm as two Triton kernels: `handgrad check examples/triton_layer_norm.py`, with a GPU.

Without one, `TRITON_INTERPRET=1` runs the same kernels on the CPU. `:forgets_a_mean` is the same
backward pass with a mean left out, which the check must find.
"""

import os

import torch
import triton
import triton.language as tl

EPS = 1e-5
ROWS = 4
DEVICE = "cpu" if os.environ.get("TRITON_INTERPRET") == "1" else "cuda"


@triton.jit
def forward_kernel(x_at, gamma_at, beta_at, y_at, mean_at, scale_at, n, eps, BLOCK: tl.constexpr):
    """One row: y = γ x̂ + β, with x̂ = (x − mean) · scale and scale = 1 / √(variance + ε)."""
    row = tl.program_id(0)
    k = tl.arange(0, BLOCK)
    inside = k < n
    x = tl.load(x_at + row * n + k, mask=inside, other=0.0)
    mean = tl.sum(x, axis=0) / n
    off = tl.where(inside, x - mean, 0.0)
    scale = 1 / tl.sqrt(tl.sum(off * off, axis=0) / n + eps)
    gamma = tl.load(gamma_at + k, mask=inside)
    beta = tl.load(beta_at + k, mask=inside)
    tl.store(y_at + row * n + k, off * scale * gamma + beta, mask=inside)
    tl.store(mean_at + row, mean)
    tl.store(scale_at + row, scale)


@triton.jit
def backward_kernel(
    dy_at,
    x_at,
    gamma_at,
    mean_at,
    scale_at,
    dx_at,
    dgamma_at,
    dbeta_at,
    rows,
    n,
    ROWS: tl.constexpr,
    BLOCK: tl.constexpr,
    FORGETS: tl.constexpr,
):
    """dx of some rows in a row, and their shares of dγ = Σ dy x̂ and dβ = Σ dy."""
    program = tl.program_id(0)
    k = tl.arange(0, BLOCK)
    inside = k < n
    gamma = tl.load(gamma_at + k, mask=inside, other=0.0)
    dgamma = tl.zeros([BLOCK], dtype=tl.float32)
    dbeta = tl.zeros([BLOCK], dtype=tl.float32)
    for i in range(ROWS):
        row = program * ROWS + i
        here = inside & (row < rows)
        dy = tl.load(dy_at + row * n + k, mask=here, other=0.0)
        x = tl.load(x_at + row * n + k, mask=here, other=0.0)
        mean = tl.load(mean_at + row, mask=row < rows, other=0.0)
        scale = tl.load(scale_at + row, mask=row < rows, other=0.0)
        x_hat = tl.where(here, (x - mean) * scale, 0.0)
        g = dy * gamma
        along_x_hat = tl.sum(g * x_hat, axis=0) / n
        along_1 = 0.0 if FORGETS else tl.sum(g, axis=0) / n
        dx = scale * (g - along_1 - x_hat * along_x_hat)
        tl.store(dx_at + row * n + k, dx, mask=here)
        dgamma += dy * x_hat
        dbeta += dy
    tl.store(dgamma_at + program * n + k, dgamma, mask=inside)
    tl.store(dbeta_at + program * n + k, dbeta, mask=inside)


class LayerNorm(torch.autograd.Function):
    """Both kernels, as autograd calls them."""

    FORGETS = False

    @staticmethod
    def forward(ctx, x, gamma, beta):
        x, gamma, beta = x.contiguous(), gamma.contiguous(), beta.contiguous()
        rows, n = x.shape
        y = torch.empty_like(x)
        mean, scale = x.new_empty(rows), x.new_empty(rows)
        block = triton.next_power_of_2(n)
        forward_kernel[(rows,)](x, gamma, beta, y, mean, scale, n, EPS, BLOCK=block)
        ctx.save_for_backward(x, gamma, mean, scale)
        return y

    @classmethod
    def backward(cls, ctx, dy):
        x, gamma, mean, scale = ctx.saved_tensors
        rows, n = x.shape
        dx = torch.empty_like(x)
        programs = triton.cdiv(rows, ROWS)
        dgamma, dbeta = x.new_empty(programs, n), x.new_empty(programs, n)
        backward_kernel[(programs,)](
            *(dy.contiguous(), x, gamma, mean, scale, dx, dgamma, dbeta, rows, n),
            ROWS=ROWS,
            BLOCK=triton.next_power_of_2(n),
            FORGETS=cls.FORGETS,
        )
        return dx, dgamma.sum(0), dbeta.sum(0)


class ForgetsAMean(LayerNorm):
    """With a mean left out: dx still looks like a gradient."""

    FORGETS = True


def reference(x, gamma, beta):
    return torch.nn.functional.layer_norm(x, x.shape[-1:], gamma, beta, EPS)


module = LayerNorm.apply
generator = torch.Generator().manual_seed(0)
inputs = tuple(
    torch.randn(shape, generator=generator).to(DEVICE) for shape in ((9, 48), (48,), (48,))
)
forgets_a_mean = {"module": ForgetsAMean.apply, "inputs": inputs, "reference": reference}
