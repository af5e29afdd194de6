"""`nn.CrossMapLRN2d` of torch 2.13: its backward is not the derivative of its forward.

    handgrad check examples/in_the_wild_torch.py:lrn_alpha_1   fails
    handgrad check examples/in_the_wild_torch.py:lrn_default   fails, by a small error
    handgrad check examples/in_the_wild_torch.py:lrn_float32   fails, by a small error

`right_alpha_1`, `right_default` and `right_float32` pass: they are `nn.LocalResponseNorm`.
"""

import torch
from torch import nn

torch.manual_seed(0)
x = torch.randn(1, 6, 1, 1, dtype=torch.float64)  # (B, channels, H, W)

lrn_alpha_1 = {"module": nn.CrossMapLRN2d(size=3, alpha=1.0), "inputs": x}
lrn_default = {"module": nn.CrossMapLRN2d(size=3), "inputs": x}  # alpha = 1e-4
lrn_float32 = {"module": nn.CrossMapLRN2d(size=3), "inputs": x.float()}

right_alpha_1 = {"module": nn.LocalResponseNorm(size=3, alpha=1.0), "inputs": x}
right_default = {"module": nn.LocalResponseNorm(size=3), "inputs": x}
right_float32 = {"module": nn.LocalResponseNorm(size=3), "inputs": x.float()}
