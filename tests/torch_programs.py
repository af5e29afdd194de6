"""Modules and functions of PyTorch with small inputs, as they stand: the checker's right programs.

`PROGRAMS[name]()` builds (module, inputs). Inputs that are to be checked require a gradient.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations

Made = tuple[Any, list[Any]]
PROGRAMS: dict[str, Callable[[], Made]] = {}


def asks(*shape: int) -> Tensor:
    """A random input that requires a gradient."""
    return torch.randn(*shape).requires_grad_()


def labels(most: int, *shape: int) -> Tensor:
    return torch.randint(0, most, shape)


def signs(*shape: int) -> Tensor:
    return 2.0 * torch.randint(0, 2, shape) - 1


def program(name: str, module: Callable[[], Any], inputs: Callable[[], Sequence[Any]]) -> None:
    PROGRAMS[name] = lambda: (module(), list(inputs()))


def with_statistics(norm: nn.Module, evaluate: bool = False) -> nn.Module:
    """A norm that is not at its neutral start."""
    for name, p in norm.named_parameters():
        nn.init.normal_(p, float(name == "weight"), 0.3)
    if evaluate:
        for name, b in norm.named_buffers():
            if b.is_floating_point():
                b.uniform_(0.5, 2) if "var" in name else b.normal_()
        norm.eval()
    return norm


# Affine maps and convolutions
program("Linear", lambda: nn.Linear(5, 3), lambda: [asks(4, 5)])
program("Linear, no bias", lambda: nn.Linear(5, 3, bias=False), lambda: [asks(2, 4, 5)])
program("Bilinear", lambda: nn.Bilinear(2, 3, 4), lambda: [asks(3, 2), asks(3, 3)])
program("Identity", nn.Identity, lambda: [asks(3, 2)])
program("Flatten", nn.Flatten, lambda: [asks(2, 3, 2)])
program("Embedding", lambda: nn.Embedding(5, 3), lambda: [labels(5, 4, 2)])
program("EmbeddingBag, sum", lambda: nn.EmbeddingBag(5, 3, mode="sum"), lambda: [labels(5, 4, 2)])
program("EmbeddingBag, max", lambda: nn.EmbeddingBag(5, 3, mode="max"), lambda: [labels(5, 4, 2)])
size: tuple[int, ...]
for d, size in ((1, (2, 2, 7)), (2, (1, 2, 4, 5)), (3, (1, 1, 3, 4, 3))):
    conv, turned = getattr(nn, f"Conv{d}d"), getattr(nn, f"ConvTranspose{d}d")
    program(
        f"Conv{d}d",
        lambda conv=conv, c=size[1]: conv(c, 2, 2),  # type: ignore[misc]
        lambda size=size: [asks(*size)],  # type: ignore[misc]
    )
    program(
        f"Conv{d}d, stride and padding",
        lambda conv=conv, c=size[1]: conv(c, 2, 3, stride=2, padding=1),  # type: ignore[misc]
        lambda size=size: [asks(*size)],  # type: ignore[misc]
    )
    program(
        f"ConvTranspose{d}d",
        lambda turned=turned, c=size[1]: turned(c, 2, 2, stride=2),  # type: ignore[misc]
        lambda size=size: [asks(*size)],  # type: ignore[misc]
    )
program(
    "Conv2d, groups", lambda: nn.Conv2d(4, 4, 2, groups=2, dilation=2), lambda: [asks(1, 4, 4, 3)]
)
program(
    "Conv2d, reflect",
    lambda: nn.Conv2d(1, 2, 3, padding=1, padding_mode="reflect"),
    lambda: [asks(1, 1, 4, 3)],
)
program("Unfold", lambda: nn.Unfold((2, 1)), lambda: [asks(1, 2, 3, 4)])
program("Fold", lambda: nn.Fold((3, 4), 2), lambda: [asks(1, 8, 6)])

# Pooling, padding, shapes
for d in (1, 2, 3):
    size = (1, 2) + (5,) * d
    for kind in ("MaxPool", "AvgPool", "AdaptiveMaxPool", "AdaptiveAvgPool"):
        program(
            f"{kind}{d}d",
            lambda kind=kind, d=d: getattr(nn, f"{kind}{d}d")(2),  # type: ignore[misc]
            lambda size=size: [asks(*size)],  # type: ignore[misc]
        )
program("MaxPool2d, overlapping", lambda: nn.MaxPool2d(3, 1, 1), lambda: [asks(1, 1, 4, 5)])
program("MaxPool1d, indices", lambda: nn.MaxPool1d(2, return_indices=True), lambda: [asks(1, 2, 6)])
program("LPPool2d", lambda: nn.LPPool2d(2, 2), lambda: [asks(1, 2, 4, 4)])
program("ReflectionPad1d", lambda: nn.ReflectionPad1d(2), lambda: [asks(1, 2, 4)])
program("ReplicationPad2d", lambda: nn.ReplicationPad2d(1), lambda: [asks(1, 1, 3, 2)])
program("ConstantPad2d", lambda: nn.ConstantPad2d(1, 0.5), lambda: [asks(1, 1, 3, 2)])
program("PixelShuffle", lambda: nn.PixelShuffle(2), lambda: [asks(1, 4, 2, 3)])
program("PixelUnshuffle", lambda: nn.PixelUnshuffle(2), lambda: [asks(1, 1, 4, 2)])
program("ChannelShuffle", lambda: nn.ChannelShuffle(3), lambda: [asks(1, 6, 2, 2)])
program("Upsample, nearest", lambda: nn.Upsample(scale_factor=2), lambda: [asks(1, 1, 3, 2)])
program(
    "Upsample, bilinear",
    lambda: nn.Upsample(scale_factor=1.5, mode="bilinear", align_corners=True),
    lambda: [asks(1, 1, 4, 2)],
)

# Activations
ACTIVATIONS = """
    CELU ELU GELU GLU Hardshrink Hardswish Hardtanh LeakyReLU LogSigmoid Mish PReLU ReLU ReLU6
    SELU SiLU Sigmoid Softplus Softshrink Softsign Tanh Tanhshrink
"""
for kind in ACTIVATIONS.split():
    program(kind, getattr(nn, kind), lambda: [(2 * torch.randn(3, 6)).requires_grad_()])
for kind in ("Softmax", "Softmin", "LogSoftmax"):
    program(kind, lambda kind=kind: getattr(nn, kind)(-1), lambda: [asks(3, 5)])  # type: ignore[misc]
program("GELU, tanh", lambda: nn.GELU("tanh"), lambda: [asks(3, 4)])
program("Threshold", lambda: nn.Threshold(0.1, 3.0), lambda: [asks(3, 4)])
program("RReLU, evaluated", lambda: nn.RReLU().eval(), lambda: [asks(3, 4)])
program("Dropout", lambda: nn.Dropout(0.4), lambda: [asks(4, 5)])
program("Dropout2d", lambda: nn.Dropout2d(0.4), lambda: [asks(2, 4, 2, 2)])
program("AlphaDropout", lambda: nn.AlphaDropout(0.3), lambda: [asks(4, 5)])

# Norms
for d, size in ((1, (6, 3)), (2, (2, 3, 2, 3)), (3, (2, 3, 1, 2, 2))):
    norm = getattr(nn, f"BatchNorm{d}d")
    for evaluate in (False, True):
        program(
            f"BatchNorm{d}d{', evaluated' if evaluate else ''}",
            lambda norm=norm, e=evaluate: with_statistics(norm(3), e),  # type: ignore[misc]
            lambda size=size: [asks(*size)],  # type: ignore[misc]
        )
program("LayerNorm", lambda: with_statistics(nn.LayerNorm(6)), lambda: [asks(3, 6)])
program("RMSNorm", lambda: with_statistics(nn.RMSNorm(6)), lambda: [asks(3, 6)])
program("GroupNorm", lambda: with_statistics(nn.GroupNorm(2, 6)), lambda: [asks(2, 6, 3)])
program(
    "InstanceNorm1d",
    lambda: with_statistics(nn.InstanceNorm1d(2, affine=True)),
    lambda: [asks(2, 2, 5)],
)
program("LocalResponseNorm", lambda: nn.LocalResponseNorm(3), lambda: [asks(1, 5, 2)])
program("normalize", lambda: F.normalize, lambda: [asks(3, 4)])

# Recurrent layers and attention
for kind in ("RNN", "LSTM", "GRU"):
    program(kind, lambda kind=kind: getattr(nn, kind)(2, 3), lambda: [asks(3, 2, 2)])  # type: ignore[misc]
    program(
        f"{kind}, two layers, both ways",
        lambda kind=kind: getattr(nn, kind)(2, 2, 2, bidirectional=True),  # type: ignore[misc]
        lambda: [asks(3, 1, 2)],
    )
program("RNN, ReLU", lambda: nn.RNN(2, 3, nonlinearity="relu"), lambda: [asks(3, 2, 2)])
program(
    "LSTM, a state", lambda: nn.LSTM(2, 3), lambda: [asks(3, 2, 2), (asks(1, 2, 3), asks(1, 2, 3))]
)
program("RNNCell", lambda: nn.RNNCell(2, 3), lambda: [asks(4, 2), asks(4, 3)])
program("GRUCell", lambda: nn.GRUCell(2, 3), lambda: [asks(4, 2), asks(4, 3)])
program("LSTMCell", lambda: nn.LSTMCell(2, 3), lambda: [asks(4, 2), (asks(4, 3), asks(4, 3))])
program(
    "MultiheadAttention",
    lambda: nn.MultiheadAttention(4, 2),
    lambda: [asks(3, 2, 4) for _ in "qkv"],
)
program(
    "TransformerEncoderLayer",
    lambda: nn.TransformerEncoderLayer(4, 2, 5, dropout=0.0, batch_first=True),
    lambda: [asks(2, 3, 4)],
)
program(
    "TransformerEncoderLayer, dropout",
    lambda: nn.TransformerEncoderLayer(4, 2, 5, dropout=0.2, activation="gelu"),
    lambda: [asks(3, 2, 4)],
)
program(
    "TransformerDecoderLayer",
    lambda: nn.TransformerDecoderLayer(4, 2, 5, dropout=0.0),
    lambda: [asks(2, 2, 4), asks(3, 2, 4)],
)
program(
    "scaled_dot_product_attention",
    lambda: F.scaled_dot_product_attention,
    lambda: [asks(1, 2, 3, 4) for _ in "qkv"],
)

# Distances and losses
program("CosineSimilarity", nn.CosineSimilarity, lambda: [asks(3, 4), asks(3, 4)])
program("PairwiseDistance", nn.PairwiseDistance, lambda: [asks(3, 4), asks(3, 4)])
program("cdist", lambda: torch.cdist, lambda: [asks(3, 2), asks(4, 2)])
for kind in ("L1Loss", "MSELoss", "HuberLoss", "SmoothL1Loss"):
    program(kind, getattr(nn, kind), lambda: [asks(3, 4), asks(3, 4)])
    program(
        f"{kind}, each",
        lambda kind=kind: getattr(nn, kind)(reduction="none"),  # type: ignore[misc]
        lambda: [asks(3, 4), torch.randn(3, 4)],
    )
program("CrossEntropyLoss", nn.CrossEntropyLoss, lambda: [asks(4, 5), labels(5, 4)])
program(
    "CrossEntropyLoss, one ignored",
    lambda: nn.CrossEntropyLoss(ignore_index=0, label_smoothing=0.1),
    lambda: [asks(4, 5), torch.tensor([0, 1, 4, 2])],
)
program(
    "CrossEntropyLoss, probabilities",
    nn.CrossEntropyLoss,
    lambda: [asks(4, 5), torch.rand(4, 5).softmax(-1)],
)
program("NLLLoss", lambda: nn.NLLLoss(torch.rand(5) + 0.5), lambda: [asks(4, 5), labels(5, 4)])
program("KLDivLoss", lambda: nn.KLDivLoss(reduction="sum"), lambda: [asks(3, 4), torch.rand(3, 4)])
program("PoissonNLLLoss", nn.PoissonNLLLoss, lambda: [asks(3, 4), labels(5, 3, 4).float()])
program(
    "GaussianNLLLoss",
    nn.GaussianNLLLoss,
    lambda: [asks(3, 4), asks(3, 4), (torch.rand(3, 4) + 0.3).requires_grad_()],
)
program(
    "BCELoss",
    nn.BCELoss,
    lambda: [(0.05 + 0.9 * torch.rand(3, 4)).requires_grad_(), labels(2, 3, 4).float()],
)
program("BCEWithLogitsLoss", nn.BCEWithLogitsLoss, lambda: [asks(3, 4), labels(2, 3, 4).float()])
program("SoftMarginLoss", nn.SoftMarginLoss, lambda: [asks(5), signs(5)])
program("HingeEmbeddingLoss", nn.HingeEmbeddingLoss, lambda: [asks(5), signs(5)])
program(
    "MarginRankingLoss", lambda: nn.MarginRankingLoss(0.3), lambda: [asks(5), asks(5), signs(5)]
)
program("CosineEmbeddingLoss", nn.CosineEmbeddingLoss, lambda: [asks(4, 3), asks(4, 3), signs(4)])
program("TripletMarginLoss", nn.TripletMarginLoss, lambda: [asks(3, 4) for _ in "apn"])
program("MultiMarginLoss", nn.MultiMarginLoss, lambda: [asks(3, 4), labels(4, 3)])
program(
    "MultiLabelMarginLoss",
    nn.MultiLabelMarginLoss,
    lambda: [asks(1, 4), torch.tensor([[2, 0, -1, 1]])],
)
program(
    "MultiLabelSoftMarginLoss",
    nn.MultiLabelSoftMarginLoss,
    lambda: [asks(3, 4), labels(2, 3, 4).float()],
)

# Whole networks, parametrizations, functions
program(
    "ReLU network",
    lambda: nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 5), nn.ReLU(), nn.Linear(5, 2)),
    lambda: [asks(6, 3)],
)
program(
    "convolutional network",
    lambda: nn.Sequential(
        nn.Conv2d(1, 2, 3),
        nn.BatchNorm2d(2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(8, 3),
    ),
    lambda: [asks(3, 1, 6, 6)],
)
program(
    "dropout network",
    lambda: nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Dropout(0.3), nn.Linear(8, 2)),
    lambda: [asks(4, 3)],
)
program("weight_norm", lambda: parametrizations.weight_norm(nn.Linear(3, 4)), lambda: [asks(2, 3)])
program(
    "spectral_norm",
    lambda: parametrizations.spectral_norm(nn.Linear(3, 4)).eval(),
    lambda: [asks(2, 3)],
)
program("orthogonal", lambda: parametrizations.orthogonal(nn.Linear(3, 3)), lambda: [asks(2, 3)])
for name, function, shapes in (
    ("einsum", lambda a, b: torch.einsum("ij,jk->ik", a, b), [(2, 3), (3, 4)]),
    ("logsumexp", lambda a: a.logsumexp(0), [(3, 4)]),
    ("cumprod", lambda a: a.cumprod(0), [(4, 2)]),
    ("cumsum", lambda a: a.cumsum(1), [(2, 4)]),
    ("prod", lambda a: a.prod(1), [(2, 4)]),
    ("std", lambda a: a.std(0), [(5, 2)]),
    ("sort", lambda a: a.sort(0).values, [(5, 2)]),
    ("topk", lambda a: a.topk(2).values, [(2, 5)]),
    ("gather", lambda a: a[torch.tensor([0, 2, 2])], [(3, 2)]),
    ("index_add", lambda a, b: a.index_add(0, torch.tensor([0, 0, 1]), b), [(2, 2), (3, 2)]),
    ("where", lambda a, b: torch.where(a > 0, a * b, b), [(3, 3), (3, 3)]),
    ("inverse", lambda a: torch.linalg.inv(a + 4 * torch.eye(3, dtype=a.dtype)), [(3, 3)]),
    ("slogdet", lambda a: torch.linalg.slogdet(a)[1], [(3, 3)]),
    ("cholesky", lambda a: torch.linalg.cholesky(a @ a.mT + torch.eye(3, dtype=a.dtype)), [(3, 3)]),
    ("solve", torch.linalg.solve, [(3, 3), (3, 2)]),
    ("svdvals", torch.linalg.svdvals, [(3, 4)]),
    ("eigvalsh", lambda a: torch.linalg.eigvalsh(a + a.mT), [(3, 3)]),
    ("fft", torch.fft.rfft, [(2, 6)]),
    ("complex", lambda a, b: torch.complex(a, b).abs().square(), [(3,), (3,)]),
    (
        "grid_sample",
        lambda a, b: F.grid_sample(a, b, align_corners=False),
        [(1, 1, 3, 3), (1, 2, 2, 2)],
    ),
    ("expand", lambda a: a.expand(4, 3).sin(), [(1, 3)]),
    ("norm", lambda a: a.norm(dim=0), [(3, 4)]),
    ("atan2", torch.atan2, [(4,), (4,)]),
    ("lgamma", lambda a: torch.lgamma(a.abs() + 0.5), [(4,)]),
):
    program(name, lambda f=function: f, lambda shapes=shapes: [asks(*s) for s in shapes])  # type: ignore[misc]


def build(name: str, dtype: torch.dtype, seed: int) -> Made:
    """The program and its inputs in a dtype, drawn from the seed."""
    torch.manual_seed(seed)
    module, inputs = PROGRAMS[name]()

    def cast(value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(map(cast, value))
        if isinstance(value, Tensor) and value.is_floating_point():
            return value.detach().to(dtype).requires_grad_(value.requires_grad)
        return value

    return module.to(dtype) if isinstance(module, nn.Module) else module, list(map(cast, inputs))
