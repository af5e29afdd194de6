"""Right programs of PyTorch pass as they stand; with a planted mistake they fail."""

from typing import Any

import pytest
import torch
from torch import nn
from torch_programs import PROGRAMS, build

from handgrad import gradcheck_module

pytestmark = pytest.mark.filterwarnings("ignore")

QUICK = {"Linear", "Conv2d", "LSTM", "LayerNorm", "MultiheadAttention", "CrossEntropyLoss", "sort"}
"""The others are slow: there are many."""

NAMES = [
    pytest.param(name, id=name, marks=() if name in QUICK else pytest.mark.slow)
    for name in PROGRAMS
]
DOES_NOT_ASK = {"Embedding", "EmbeddingBag, sum", "EmbeddingBag, max"}


def test_there_are_many() -> None:
    assert len(PROGRAMS) >= 126


@pytest.mark.parametrize("name", NAMES)
def test_a_right_program_passes(name: str) -> None:
    module, inputs = build(name, torch.float64, 1)
    report = gradcheck_module(module, inputs, seed=1)
    assert report.verdict == "pass", f"{name}: {report}"
    module, inputs = build(name, torch.float32, 0)
    narrow = gradcheck_module(module, inputs, seed=0)
    assert narrow.verdict != "fail", f"{name}: {narrow}"
    assert narrow.verdict == "pass" or not isinstance(module, nn.Module), f"{name}: {narrow}"


class Spoilt(torch.autograd.Function):
    """The identity, whose backward pass is wrong."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, how: str) -> torch.Tensor:
        ctx.how = how
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, g: torch.Tensor) -> Any:
        if ctx.how == "entry":
            g = g.clone(memory_format=torch.contiguous_format)
            g.view(-1)[g.abs().argmax()] *= -1
            return g, None
        return {"sign": -g, "1 %": 1.01 * g}[ctx.how], None


class Wrong(nn.Module):
    """A program whose first input gets a wrong gradient."""

    def __init__(self, inner: Any, how: str) -> None:
        super().__init__()
        self.inner, self.how = inner, how

    def forward(self, first: torch.Tensor, *others: Any) -> Any:
        spoil: Any = Spoilt.apply
        return self.inner(spoil(first, self.how), *others)


@pytest.mark.parametrize("name", NAMES)
def test_a_wrong_program_fails(name: str) -> None:
    if name in DOES_NOT_ASK:
        return  # its first input is an index: `Wrong` has nowhere to stand
    how = ("sign", "1 %", "entry")[list(PROGRAMS).index(name) % 3]
    module, inputs = build(name, torch.float64, 2)
    report = gradcheck_module(Wrong(module, how), inputs, seed=2)
    assert report.verdict == "fail", f"{name}, {how}: {report}"
    assert report["input 0"].verdict == "fail"
