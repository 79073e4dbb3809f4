"""Costs and errors of products, layers, losses, and reading at secret positions."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F

from tests.costs.call import Call, Family, over
from tests.plaintext import on_grid

X, Y = on_grid(64), on_grid(64, seed=1)
ABOVE_1 = on_grid(64, low=1)
TABLE, TURNED, ROW = on_grid(8, 16), on_grid(16, 8), on_grid(16)
SQUARE, STACK, STACKED = on_grid(8, 8), on_grid(2, 8, 16), on_grid(2, 16, 8)
LINES, IMAGES, VOLUMES = on_grid(2, 4, 16), on_grid(2, 4, 8, 8), on_grid(1, 2, 4, 4, 4)
KERNEL, KERNELS = on_grid(4, 4, 3), on_grid(4, 4, 3, 3)
CLASSES = torch.tensor([0, 3, 5, 1, 7, 2, 2, 4])
AT = torch.tensor([3, 0, 6, 3])
WORDS = torch.tensor([[1, 2], [3, 3]])
SIGNS = torch.where(Y > 0, 1.0, -1.0)


def lstm(x: Any, w: Any, u: Any) -> Any:
    state = x.new_zeros(1, 2, 4)
    return torch.lstm(x, (state, state), [w, u], False, 1, 0.0, False, False, False)[0]


def recurrent(function: Any) -> Any:
    def run(x: Any, w: Any, u: Any) -> Any:
        state = x.new_zeros(1, 2, 4)
        return function(x, state, [w, u], False, 1, 0.0, False, False, False)[0]

    return run


def attention(x: Any, w: Any, u: Any) -> Any:
    return F.multi_head_attention_forward(
        *(x, x, x, 4, 2, w, None, None, None, False, 0.0, u, None), need_weights=False
    )[0]


FAMILIES = [
    Family(
        "Matrix products, convolutions and attention",
        "result",
        [
            Call("mm", 1, 1, torch.mm, (TABLE, TURNED)),
            Call("mm, public matrix", 0, 1, over(torch.mm, TURNED), (TABLE,)),
            Call("mv", 1, 1, torch.mv, (TABLE, ROW)),
            Call("dot", 1, 1, torch.dot, (X, Y)),
            Call("vdot", 1, 1, torch.vdot, (X, Y)),
            Call("bmm", 1, 1, torch.bmm, (STACK, STACKED)),
            Call("linear", 1, 1, F.linear, (TABLE, TABLE, on_grid(8))),
            Call("addmm", 1, 1, torch.addmm, (SQUARE, TABLE, TURNED)),
            Call("addmv", 1, 1, torch.addmv, (on_grid(8), TABLE, ROW)),
            Call("baddbmm", 1, 1, torch.baddbmm, (on_grid(2, 8, 8), STACK, STACKED)),
            Call("addbmm", 1, 1, torch.addbmm, (SQUARE, STACK, STACKED)),
            Call("conv1d", 1, 1, F.conv1d, (LINES, KERNEL)),
            Call(
                "convolution",
                1,
                1,
                lambda x, w: torch.convolution(
                    x, w, None, [1, 1], [0, 0], [1, 1], False, [0, 0], 1
                ),
                (IMAGES, KERNELS),
            ),
            Call("convolution, public kernel", 0, 1, over(F.conv2d, KERNELS), (IMAGES,)),
            Call("conv_transpose2d", 1, 1, F.conv_transpose2d, (IMAGES, KERNELS)),
            Call("conv3d", 1, 1, F.conv3d, (VOLUMES, on_grid(2, 2, 2, 2, 2))),
            Call(
                "scaled_dot_product_attention",
                15,
                32,
                F.scaled_dot_product_attention,
                tuple(on_grid(8, 8, seed=seed) for seed in range(3)),
            ),
            Call(
                "multi_head_attention_forward",
                19,
                64,
                attention,
                (on_grid(6, 2, 4), on_grid(12, 4), on_grid(4, 4)),
            ),
            Call("lstm", 88, 8, lstm, (on_grid(3, 2, 4), on_grid(16, 4), on_grid(16, 4))),
            *(
                Call(
                    function.__name__,
                    rounds,
                    8,
                    recurrent(function),
                    (on_grid(3, 2, 4), on_grid(4 * gates, 4), on_grid(4 * gates, 4)),
                )
                for function, rounds, gates in (
                    (torch.gru, 60, 3),
                    (torch.rnn_tanh, 18, 1),
                    (torch.rnn_relu, 15, 1),
                )
            ),
        ],
    ),
    Family(
        "Normalization",
        "argument",
        [
            Call(
                "batch_norm",
                12,
                16,
                lambda x, w, b: F.batch_norm(x, None, None, w, b, True),
                (IMAGES, on_grid(4), on_grid(4)),
            ),
            Call(
                "layer_norm",
                12,
                16,
                lambda x, w, b: F.layer_norm(x, (16,), w, b),
                (TABLE, ROW, on_grid(16)),
            ),
            Call("group_norm", 11, 8, over(F.group_norm, 2), (IMAGES,)),
            Call("instance_norm", 11, 8, F.instance_norm, (IMAGES,)),
            Call("rms_norm", 11, 8, over(F.rms_norm, (16,)), (TABLE,)),
            Call("local_response_norm", 25, 8, over(F.local_response_norm, 2), (IMAGES,)),
        ],
    ),
    Family(
        "Pooling and resizing",
        "argument",
        [
            Call("max_pool1d", 4, 0, over(F.max_pool1d, 2), (LINES,)),
            Call("max_pool2d", 8, 0, over(F.max_pool2d, 2), (IMAGES,)),
            Call(
                "max_pool2d, return_indices",
                9,
                0,
                over(F.max_pool2d, 2, return_indices=True),
                (IMAGES,),
            ),
            Call("max_pool3d", 12, 0, over(F.max_pool3d, 2), (VOLUMES,)),
            Call("adaptive_max_pool1d", 8, 0, over(F.adaptive_max_pool1d, 4), (LINES,)),
            Call("adaptive_max_pool2d", 8, 0, over(F.adaptive_max_pool2d, 4), (IMAGES,)),
            Call("adaptive_max_pool3d", 12, 0, over(F.adaptive_max_pool3d, 2), (VOLUMES,)),
            Call("avg_pool1d", 0, 1, over(F.avg_pool1d, 2), (LINES,)),
            Call("avg_pool2d", 0, 1, over(F.avg_pool2d, 2), (IMAGES,)),
            Call("avg_pool3d", 0, 1, over(F.avg_pool3d, 2), (VOLUMES,)),
            Call("adaptive_avg_pool2d", 0, 1, over(F.adaptive_avg_pool2d, 4), (IMAGES,)),
            Call("lp_pool1d", 8, 4, over(F.lp_pool1d, 2, 2), (LINES,)),
            Call("lp_pool2d", 8, 4, over(F.lp_pool2d, 2, 2), (IMAGES,)),
            Call("lp_pool2d, p = 3", 38, 4, over(F.lp_pool2d, 3, 2), (IMAGES.abs() + 0.125,)),
            Call("lp_pool3d", 8, 4, over(F.lp_pool3d, 2, 2), (VOLUMES,)),
            *(
                Call(
                    f"interpolate, {mode}",
                    rounds,
                    ulps,
                    over(F.interpolate, scale_factor=1.5, mode=mode),
                    (x,),
                )
                for mode, rounds, ulps, x in (
                    ("nearest", 0, 0, IMAGES),
                    ("linear", 0, 3, LINES),
                    ("bilinear", 1, 6, IMAGES),
                    ("bicubic", 1, 10, IMAGES),
                    ("trilinear", 2, 9, VOLUMES),
                )
            ),
        ],
    ),
    Family(
        "Losses",
        "argument",
        [
            Call("mse_loss", 1, 1, F.mse_loss, (X, Y)),
            Call("l1_loss", 4, 1, F.l1_loss, (X, Y)),
            Call("smooth_l1_loss", 6, 2, F.smooth_l1_loss, (X, Y)),
            Call("huber_loss", 6, 2, F.huber_loss, (X, Y)),
            Call("soft_margin_loss", 5, 4, over(F.soft_margin_loss, SIGNS), (X,)),
            Call(
                "binary_cross_entropy_with_logits",
                6,
                4,
                F.binary_cross_entropy_with_logits,
                (X, (Y + 2) / 4),
            ),
            Call(
                "binary_cross_entropy",
                22,
                4,
                over(F.binary_cross_entropy, (Y > 0).float()),
                (Y / 8 + 0.5,),
            ),
            Call("kl_div", 0, 4, over(F.kl_div, (Y > 0) / 8, reduction="sum"), (X,)),
            Call("nll_loss", 0, 1, over(F.nll_loss, CLASSES), (TABLE,)),
            Call("cross_entropy", 24, 4, over(F.cross_entropy, CLASSES), (TABLE,)),
            Call(
                "cross_entropy, secret one-hot target",
                25,
                4,
                F.cross_entropy,
                (TABLE, F.one_hot(CLASSES, 16).float()),
            ),
            Call(
                "linear_cross_entropy",
                25,
                4,
                lambda x, w: F.linear_cross_entropy(x, w, CLASSES),
                (TABLE, on_grid(10, 16)),
            ),
            Call(
                "gaussian_nll_loss", 25, 8, lambda x, v: F.gaussian_nll_loss(x, Y, v), (X, ABOVE_1)
            ),
            Call(
                "triplet_margin_loss",
                22,
                4,
                F.triplet_margin_loss,
                (TABLE, TABLE.flip(0), TABLE.flip(1)),
            ),
            Call("multi_margin_loss", 4, 2, over(F.multi_margin_loss, CLASSES), (TABLE,)),
            Call(
                "multilabel_margin_loss",
                4,
                2,
                over(F.multilabel_margin_loss, CLASSES.expand(8, 8)),
                (SQUARE,),
            ),
            Call(
                "ctc_loss",
                80,
                32,
                over(F.ctc_loss, WORDS, (6, 6), (2, 2)),
                (on_grid(6, 2, 4).log_softmax(2),),
            ),
        ],
    ),
    Family(
        "Secret positions, and tables of embeddings",
        "result",
        [
            Call("gather", 2, 0, lambda x, at: x.gather(1, at), (TABLE, CLASSES[:, None])),
            Call(
                "take_along_dim",
                2,
                0,
                lambda x, at: x.take_along_dim(at, 1),
                (TABLE, CLASSES[:, None]),
            ),
            Call("embedding", 2, 0, lambda at, x: F.embedding(at, x), (CLASSES, TABLE)),
            Call("one_hot", 1, 0, over(F.one_hot, 8), (CLASSES,)),
            Call(
                "embedding_renorm_",
                26,
                6,
                lambda x: torch.embedding_renorm_(x.detach().clone(), AT, 1.0, 2.0),
                (TABLE,),
            ),
            Call("embedding_bag", 0, 1, lambda x: F.embedding_bag(AT[None], x), (TABLE,)),
        ],
    ),
]
