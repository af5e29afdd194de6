"""What a GPU does to float32, and to a program that steps out of its domain."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from handgrad.errors import BadInput


@contextmanager
def on_a_gpu() -> Iterator[None]:
    """Products of float32 tensors as float32 has them, and one line where CUDA stops.

    cuDNN rounds what it multiplies to TF32, which has 10 bits, unless it is told not to; cuBLAS
    where it is told to.
    """
    torch: Any = sys.modules.get("torch")
    flags = _tf32_flags(torch) if torch is not None and torch.cuda.is_available() else []
    try:
        for part, flag, _, whole in flags:
            setattr(part, flag, whole)
        yield
    except Exception as error:
        if not has_stopped(error):
            raise
        raise BadInput(
            "on a GPU the loss must be defined near the given point: a step out of its domain has "
            "stopped CUDA for this process; check it on the CPU"
        ) from None
    finally:
        for part, flag, before, _ in flags:
            setattr(part, flag, before)


def _tf32_flags(torch: Any) -> list[tuple[Any, str, Any, Any]]:
    """Where TF32 is allowed, by which name, what it is now, and what forbids it."""
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    try:
        return [(part, "allow_tf32", part.allow_tf32, False) for part in (cudnn, matmul)]
    except RuntimeError:  # the caller has set the flags that PyTorch 2.9 brought
        parts = (cudnn.conv, cudnn.rnn, matmul)
        return [(part, "fp32_precision", part.fp32_precision, "ieee") for part in parts]


def has_stopped(error: Exception) -> bool:
    """Whether CUDA does nothing more in this process: every later call fails as well."""
    return "device-side assert" in str(error)
