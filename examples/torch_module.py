"""A PyTorch module and its inputs: `handgrad check examples/torch_module.py`."""

import torch
from torch import nn

torch.manual_seed(0)
module = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.LayerNorm(8), nn.Linear(8, 2)).double()
inputs = torch.randn(10, 3, dtype=torch.float64)
