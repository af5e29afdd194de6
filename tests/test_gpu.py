"""On a GPU: TF32 makes no right program wrong, a stopped CUDA is named, a real kernel is checked.

What needs none runs everywhere.
"""

import os
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from handgrad import gradcheck_module
from handgrad.checker.gpu import on_a_gpu
from handgrad.checker.places import FAST, Options
from handgrad.errors import BadInput

EXAMPLE = Path(__file__).parent.parent / "examples" / "triton_layer_norm.py"

gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
with_triton = pytest.mark.skipif(
    find_spec("triton") is None
    or not (torch.cuda.is_available() or os.environ.get("TRITON_INTERPRET") == "1"),
    reason="there is no Triton, or no GPU and TRITON_INTERPRET is not 1",
)


def test_products_are_those_of_float32_while_a_check_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    matmul.allow_tf32 = True
    seen = []

    def square(x: torch.Tensor) -> torch.Tensor:
        seen.append((cudnn.allow_tf32, matmul.allow_tf32))
        return x * x

    before = cudnn.allow_tf32, matmul.allow_tf32
    assert before == (True, True)
    assert gradcheck_module(square, torch.ones(3))
    assert set(seen[1:]) == {(False, False)}  # the first call looks at the inputs
    assert (cudnn.allow_tf32, matmul.allow_tf32) == before
    with pytest.raises(KeyError), on_a_gpu():
        raise KeyError
    assert (cudnn.allow_tf32, matmul.allow_tf32) == before
    matmul.allow_tf32 = False


def test_a_step_that_stops_cuda_is_named() -> None:
    class Stops(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
            if (x > 1).any():
                raise RuntimeError("CUDA error: device-side assert triggered")
            return x.sqrt().log()

        @staticmethod
        def backward(ctx: Any, dy: torch.Tensor) -> torch.Tensor:
            return dy

    with pytest.raises(BadInput, match="has stopped CUDA for this process; check it on the CPU"):
        gradcheck_module(Stops.apply, torch.full((3,), 0.999, dtype=torch.float64))


def test_on_a_gpu_a_small_share_is_allowed_below_float64_and_said() -> None:
    assert Options().of(2.0**-23, on_a_gpu=True).rtol == FAST
    assert Options(rtol=0.1).of(2.0**-23, on_a_gpu=True).rtol == 0.1
    assert Options().of(2.0**-52, on_a_gpu=True).rtol == Options().of(2.0**-23).rtol == 0.0


@gpu
@pytest.mark.filterwarnings("ignore:RNN module weights")  # those of the copy are not in one chunk
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("make", [nn.RNN, nn.LSTM, nn.GRU])
def test_layers_of_cudnn_pass(make: Any, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    report = gradcheck_module(
        make(3, 4, device="cuda", dtype=dtype), torch.randn(3, 2, 3, device="cuda", dtype=dtype)
    )
    assert report, str(report)


@with_triton
@pytest.mark.parametrize(("rows", "columns"), [(2, 5), (9, 48), (7, 33)])
@pytest.mark.parametrize("seed", range(5))
def test_a_kernel_of_triton(
    rows: int, columns: int, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLE.parent))
    kernel = import_module(EXAMPLE.stem)
    torch.manual_seed(seed)
    inputs = [torch.randn(s, device=kernel.DEVICE) for s in ((rows, columns), columns, columns)]
    right, wrong = (
        gradcheck_module(function.apply, inputs, reference=kernel.reference)
        for function in (kernel.LayerNorm, kernel.ForgetsAMean)
    )
    assert right, str(right)
    assert wrong["input 0"].verdict == "fail", str(wrong)


@with_triton
def test_a_kernel_that_takes_every_layout_for_a_dense_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = EXAMPLE.read_text()
    line = "        x, gamma, beta = x.contiguous(), gamma.contiguous(), beta.contiguous()\n"
    assert line in text
    (tmp_path / "careless_layer_norm.py").write_text(text.replace(line, ""))
    monkeypatch.syspath_prepend(str(tmp_path))
    kernel = import_module("careless_layer_norm")
    report = gradcheck_module(kernel.module, kernel.inputs, reference=kernel.reference)
    assert not report
    assert "transposed layout" in report.calls[0]
