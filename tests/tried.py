"""Layers, losses and composed functions of torch that are tried on secrets.

docs/supported.py runs each once, forward and backward, and lists it by what happened.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

VECTORS, IMAGES, LINES = (4, 6), (2, 4, 8, 8), (2, 4, 8)
VOLUMES, SEQUENCES = (1, 4, 4, 4, 4), (3, 2, 4)
LAYERS: dict[str, list[tuple[type[nn.Module], tuple[Any, ...], tuple[int, ...]]]] = {
    "linear": [
        (nn.Linear, (6, 3), VECTORS),
        (nn.Identity, (), VECTORS),
        (nn.Flatten, (), IMAGES),
        (nn.Unflatten, (1, (2, 3)), VECTORS),
    ],
    "convolution": [
        (nn.Conv1d, (4, 4, 3), LINES),
        (nn.Conv2d, (4, 4, 3), IMAGES),
        (nn.Conv3d, (4, 4, 3), VOLUMES),
        (nn.ConvTranspose1d, (4, 4, 3), LINES),
        (nn.ConvTranspose2d, (4, 4, 3), IMAGES),
        (nn.ConvTranspose3d, (4, 4, 3), VOLUMES),
        (nn.Unfold, (2,), IMAGES),
        (nn.Fold, ((3, 3), 2), (1, 4, 4)),
    ],
    "pooling": [
        (nn.MaxPool1d, (2,), LINES),
        (nn.MaxPool2d, (2,), IMAGES),
        (nn.MaxPool3d, (2,), VOLUMES),
        (nn.AvgPool1d, (2,), LINES),
        (nn.AvgPool2d, (2,), IMAGES),
        (nn.AvgPool3d, (2,), VOLUMES),
        (nn.AdaptiveMaxPool1d, (3,), LINES),
        (nn.AdaptiveMaxPool2d, (3,), IMAGES),
        (nn.AdaptiveMaxPool3d, (3,), VOLUMES),
        (nn.AdaptiveAvgPool1d, (3,), LINES),
        (nn.AdaptiveAvgPool2d, (3,), IMAGES),
        (nn.AdaptiveAvgPool3d, (3,), VOLUMES),
        (nn.LPPool1d, (2, 2), LINES),
        (nn.LPPool2d, (2, 2), IMAGES),
        (nn.LPPool3d, (2, 2), VOLUMES),
        (nn.FractionalMaxPool2d, (2, 3), IMAGES),
    ],
    "padding and resizing": [
        (nn.ZeroPad2d, (1,), IMAGES),
        (nn.ConstantPad2d, (1, 0.5), IMAGES),
        (nn.ReflectionPad2d, (1,), IMAGES),
        (nn.ReplicationPad2d, (1,), IMAGES),
        (nn.CircularPad2d, (1,), IMAGES),
        (nn.CircularPad3d, (1,), VOLUMES),
        (nn.UpsamplingNearest2d, (None, 2), IMAGES),
        (nn.UpsamplingBilinear2d, (None, 2), IMAGES),
        (nn.Upsample, (None, 1.5, "trilinear"), VOLUMES),
        (nn.PixelShuffle, (2,), IMAGES),
        (nn.PixelUnshuffle, (2,), IMAGES),
        (nn.ChannelShuffle, (2,), IMAGES),
    ],
    "activation": [
        *((layer, (), VECTORS) for layer in (nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.PReLU, nn.RReLU)),
        *((layer, (), VECTORS) for layer in (nn.ELU, nn.CELU, nn.SELU, nn.SiLU, nn.Mish, nn.GELU)),
        *((layer, (), VECTORS) for layer in (nn.Sigmoid, nn.LogSigmoid, nn.Tanh, nn.Tanhshrink)),
        *((layer, (), VECTORS) for layer in (nn.Softplus, nn.Softsign, nn.Softshrink)),
        *((layer, (), VECTORS) for layer in (nn.Hardtanh, nn.Hardshrink, nn.Hardsigmoid)),
        *((layer, (), VECTORS) for layer in (nn.Hardswish, nn.GLU)),
        (nn.Threshold, (0.1, 0.0), VECTORS),
        (nn.Softmax, (1,), VECTORS),
        (nn.Softmin, (1,), VECTORS),
        (nn.LogSoftmax, (1,), VECTORS),
        (nn.Softmax2d, (), IMAGES),
    ],
    "normalization and dropout": [
        (nn.BatchNorm1d, (6,), VECTORS),
        (nn.BatchNorm2d, (4,), IMAGES),
        (nn.BatchNorm3d, (4,), VOLUMES),
        (nn.InstanceNorm2d, (4,), IMAGES),
        (nn.GroupNorm, (2, 4), IMAGES),
        (nn.LayerNorm, (6,), VECTORS),
        (nn.RMSNorm, (6,), VECTORS),
        (nn.LocalResponseNorm, (2,), IMAGES),
        (nn.CrossMapLRN2d, (2,), IMAGES),
        (nn.Dropout, (), VECTORS),
        (nn.Dropout1d, (), LINES),
        (nn.Dropout2d, (), IMAGES),
        (nn.AlphaDropout, (), VECTORS),
        (nn.FeatureAlphaDropout, (), VECTORS),
    ],
    "sequences": [
        (nn.RNN, (4, 3), SEQUENCES),
        (nn.LSTM, (4, 3), SEQUENCES),
        (nn.GRU, (4, 3), SEQUENCES),
        (nn.RNNCell, (6, 3), VECTORS),
        (nn.LSTMCell, (6, 3), VECTORS),
        (nn.GRUCell, (6, 3), VECTORS),
        (nn.TransformerEncoderLayer, (4, 2, 8), SEQUENCES),
        (nn.TransformerEncoder, (nn.TransformerEncoderLayer(4, 2, 8), 2), SEQUENCES),
        (nn.Embedding, (5, 3), (2, 4)),
    ],
}
COMPOSED: dict[str, Callable[[Tensor], Any]] = {
    "matmul": lambda x: x @ x.t(),
    "einsum": lambda x: torch.einsum("ij,kj->ik", x, x),
    "tensordot": lambda x: torch.tensordot(x, x, ([1], [1])),
    "outer": lambda x: torch.outer(x[0], x[1]),
    "kron": lambda x: torch.kron(x, x),
    "bilinear": lambda x: F.bilinear(x, x, torch.ones(2, 6, 6)),
    "softmax": lambda x: x.softmax(1),
    "log_softmax": lambda x: x.log_softmax(1),
    "logsumexp": lambda x: x.logsumexp(1),
    "logaddexp": lambda x: torch.logaddexp(x, x),
    "norm": lambda x: x.norm(),
    "normalize": lambda x: F.normalize(x),
    "cosine_similarity": lambda x: F.cosine_similarity(x, x + 1),
    "pairwise_distance": lambda x: F.pairwise_distance(x, x + 1),
    "cdist": lambda x: torch.cdist(x, x + 1),
    "scaled_dot_product_attention": lambda x: F.scaled_dot_product_attention(x, x, x),
    "silu": F.silu,
    "gelu (tanh)": lambda x: F.gelu(x, approximate="tanh"),
    "gelu": F.gelu,
    "square": torch.square,
    "hypot": lambda x: torch.hypot(x, x),
    "diff": torch.diff,
    "cov": torch.cov,
    "interpolate": lambda x: F.interpolate(x[None], scale_factor=2),
    "interpolate (bicubic)": lambda x: F.interpolate(
        x[None, None], scale_factor=1.5, mode="bicubic", antialias=True
    ),
    "grid_sample": lambda x: F.grid_sample(x[None, None], torch.zeros(1, 2, 2, 2)),
    "multi_head_attention": lambda x: F.multi_head_attention_forward(
        *(x, x, x, 6, 2, torch.ones(18, 6), None, None, None, False, 0.0, torch.ones(6, 6), None),
        need_weights=False,
    )[0],
    "embedding": lambda x: F.embedding(LABELS[:2], x, max_norm=1.0),
    "embedding_bag": lambda x: F.embedding_bag(torch.tensor([[0, 2], [3, 1]]), x),
    "pack_padded_sequence": lambda x: (
        nn.utils.rnn.pack_padded_sequence(x[:, :, None], torch.tensor([4, 3, 2, 2, 1, 1])).data
    ),
    "max_unpool1d": lambda x: F.max_unpool1d(
        *F.max_pool1d(x[None], 2, return_indices=True), kernel_size=2
    ),
    "sort": lambda x: x.sort().values,
    "topk": lambda x: x.topk(2).values,
    "median": lambda x: x.median(),
    "mode": lambda x: x.mode().values,
    "exp2": torch.exp2,
    "sin": torch.sin,
    "cosh": torch.cosh,
    "atan2": lambda x: torch.atan2(x, x + 1),
    "erf": torch.erf,
    "erfinv": torch.erfinv,
    "lgamma": torch.lgamma,
    "linalg.inv": lambda x: torch.linalg.inv(x @ x.t()),
    "linalg.svd": lambda x: torch.linalg.svd(x).S,
    "fft": lambda x: torch.fft.fft(x).real,
}
SIGNS = torch.tensor([[1.0, -1.0, 1.0, -1.0, 1.0, 1.0]]).expand(VECTORS)
LABELS = torch.tensor([0, 2, 5, 1])
LOSSES: dict[type[nn.Module], Tensor] = {
    nn.MSELoss: SIGNS,
    nn.L1Loss: SIGNS,
    nn.SmoothL1Loss: SIGNS,
    nn.HuberLoss: SIGNS,
    nn.CrossEntropyLoss: LABELS,
    nn.NLLLoss: LABELS,
    nn.BCEWithLogitsLoss: SIGNS.clamp(min=0),
    nn.KLDivLoss: SIGNS.abs() / 6,
    nn.PoissonNLLLoss: SIGNS.abs(),
    nn.SoftMarginLoss: SIGNS,
    nn.HingeEmbeddingLoss: SIGNS,
    nn.MultiLabelSoftMarginLoss: SIGNS.clamp(min=0),
    nn.MultiMarginLoss: LABELS,
    nn.MultiLabelMarginLoss: LABELS[:, None].expand(VECTORS).contiguous(),
}
PAIRED = {  # losses of several secret inputs
    nn.BCELoss: lambda loss, x: loss(torch.sigmoid(x), SIGNS.clamp(min=0)),
    nn.CosineEmbeddingLoss: lambda loss, x: loss(x, x + 1, SIGNS[:, 0]),
    nn.MarginRankingLoss: lambda loss, x: loss(x, x * 2, SIGNS),
    nn.TripletMarginLoss: lambda loss, x: loss(x, x + 1, x - 2),
    nn.TripletMarginWithDistanceLoss: lambda loss, x: loss(x, x + 1, x - 2),
    nn.GaussianNLLLoss: lambda loss, x: loss(x, SIGNS, x * x + 1),
    nn.CTCLoss: lambda loss, x: loss(x[:, None].log_softmax(2), LABELS[None, 1:3], [4], [2]),
}
