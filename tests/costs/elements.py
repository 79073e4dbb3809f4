"""Costs and errors of functions of single elements, and of rows of them."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from tests.costs.call import Call, Family, over
from tests.plaintext import on_grid

X, Y, Z = (on_grid(64, seed=seed) for seed in range(3))
ABOVE_1 = on_grid(64, low=1)
WHOLE, OTHER = (X * 4).long(), (Y * 4).long()
BOOLS, OTHERS = X > 0, Y > 0
AT = torch.tensor([3, 0, 3])
TABLE, ROW = on_grid(8, 16), on_grid(16)

FAMILIES = [
    Family(
        "Arithmetic",
        "argument",
        [
            Call("add", 0, 0, torch.add, (X, Y)),
            Call("sub", 0, 0, torch.sub, (X, Y)),
            Call("rsub", 0, 0, torch.rsub, (X, Y)),
            Call("neg", 0, 0, torch.neg, (X,)),
            Call("mul", 1, 1, torch.mul, (X, Y)),
            Call("mul, public factor", 0, 1, over(torch.mul, 0.3), (X,)),
            Call("mul, whole public factor", 0, 0, over(torch.mul, 3), (X,)),
            Call("mul, whole numbers", 1, 0, torch.mul, (WHOLE, OTHER)),
            Call("div", 12, 5, torch.div, (X, ABOVE_1)),
            Call("div, public divisor", 0, 1, over(torch.div, 3.0), (X,)),
            Call("true_divide", 12, 5, torch.true_divide, (X, ABOVE_1)),
            Call("addcmul", 1, 1, torch.addcmul, (X, Y, Z)),
            Call("addcdiv", 12, 6, torch.addcdiv, (X, Y, ABOVE_1)),
            Call("lerp", 1, 1, torch.lerp, (X, Y, Z)),
            Call("lerp, public weight", 0, 1, lambda x, y: x.lerp(y, 0.3), (X, Y)),
            Call("square", 1, 1, torch.square, (X,)),
            Call("xlogy", 8, 4, torch.xlogy, (X, ABOVE_1)),
            Call("xlog1py", 8, 4, torch.special.xlog1py, (X, ABOVE_1)),
            Call("pow, secret exponent", 13, 8, torch.pow, (ABOVE_1, X)),
        ],
    ),
    Family(
        "Rounding, and division with remainder",
        "argument",
        [
            Call("floor", 5, 0, torch.floor, (X,)),
            Call("ceil", 5, 0, torch.ceil, (X,)),
            Call("trunc", 13, 0, torch.trunc, (X,)),
            Call("fix", 13, 0, torch.fix, (X,)),
            Call("frac", 13, 0, torch.frac, (X,)),
            Call("round", 5, 0, torch.round, (X,)),
            Call("round, decimals", 5, 0, over(torch.round, decimals=1), (X,)),
            Call("div, rounding_mode", 5, 0, over(torch.div, 0.75, rounding_mode="floor"), (X,)),
            Call("floor_divide", 5, 0, over(torch.floor_divide, 3), (WHOLE,)),
            Call("remainder", 5, 0, over(torch.remainder, 3), (WHOLE,)),
            Call("remainder, public tensor", 8, 0, over(torch.remainder, OTHER * 2 + 1), (WHOLE,)),
            Call("remainder, secret divisor", 38, 0, torch.remainder, (X, ABOVE_1)),
            Call("fmod", 13, 0, over(torch.fmod, 3), (WHOLE,)),
            Call("fmod, secret divisor", 47, 0, torch.fmod, (X, ABOVE_1)),
        ],
    ),
    Family(
        "Comparisons and selections",
        "argument",
        [
            *(
                Call(name, 4, 0, getattr(torch, name), (X, Y))
                for name in (
                    *("lt", "le", "gt", "ge", "eq", "ne"),
                    *("maximum", "minimum", "fmax", "fmin"),
                )
            ),
            Call("sign", 4, 0, torch.sign, (X,)),
            Call("sgn", 4, 0, torch.sgn, (X,)),
            Call("signbit", 4, 0, torch.signbit, (X,)),
            Call("copysign", 9, 0, torch.copysign, (X, Y)),
            Call("abs", 4, 0, torch.abs, (X,)),
            Call("absolute", 4, 0, torch.absolute, (X,)),
            *(
                Call(name, 1, 0, getattr(torch, name), (BOOLS, OTHERS))
                for name in (
                    *("logical_and", "logical_or", "logical_xor"),
                    *("bitwise_and", "bitwise_or", "bitwise_xor"),
                )
            ),
            Call("logical_not", 0, 0, torch.logical_not, (BOOLS,)),
            Call("bitwise_not", 0, 0, torch.bitwise_not, (BOOLS,)),
            Call("where", 1, 0, torch.where, (BOOLS, X, Y)),
            Call("masked_fill", 1, 0, lambda x, m: x.masked_fill(m, 0.5), (X, BOOLS)),
        ],
    ),
    Family(
        "Activations",
        "argument",
        [
            Call("relu", 4, 0, torch.relu, (X,)),
            Call("leaky_relu", 4, 1, F.leaky_relu, (X,)),
            Call("rrelu", 4, 1, F.rrelu, (X,)),
            Call("rrelu_", 5, 1, lambda x: torch.rrelu_(x.clone()), (X,)),
            Call("threshold", 5, 0, over(F.threshold, 0.5, 0.25), (X,)),
            Call("hardtanh", 4, 0, F.hardtanh, (X,)),
            Call("clamp", 4, 0, over(torch.clamp, -0.5, 1), (X,)),
            Call("clamp, secret bounds", 8, 0, torch.clamp, (X, Y, Y + 1)),
            Call("clamp_min", 4, 0, over(torch.clamp_min, -0.5), (X,)),
            Call("clamp_max", 4, 0, over(torch.clamp_max, 0.5), (X,)),
            Call("prelu", 5, 1, F.prelu, (X.reshape(16, 4), on_grid(4))),
            Call("hardsigmoid", 8, 1, F.hardsigmoid, (X,)),
            Call("hardswish", 9, 1, F.hardswish, (X,)),
            Call("softsign", 16, 5, F.softsign, (X,)),
            Call("glu", 6, 4, F.glu, (X,)),
        ],
    ),
    Family(
        "Sums, means and norms",
        "argument",
        [
            Call("sum", 0, 0, over(torch.sum, 1), (TABLE,)),
            Call("cumsum", 0, 0, over(torch.cumsum, 1), (TABLE,)),
            Call("cumprod_", 7, 16, lambda x: x.clone().cumprod_(1), (on_grid(8, 10),)),
            Call("mean", 0, 1, over(torch.mean, 1), (TABLE,)),
            Call("var_mean", 2, 2, over(torch.var_mean, 1), (TABLE,)),
            Call("index_reduce", 0, 2, lambda x: x.index_reduce(0, AT, x[:3], "mean"), (TABLE,)),
            Call(
                "index_reduce, amax", 8, 0, lambda x: x.index_reduce(0, AT, x[:3], "amax"), (TABLE,)
            ),
            Call(
                "scatter_reduce, prod",
                3,
                2,
                lambda x: x.scatter_reduce(0, AT.view(-1, 1).expand(3, 16), x[:3], "prod"),
                (TABLE,),
            ),
            Call("std_mean", 9, 4, over(torch.std_mean, 1), (TABLE,)),
            Call("all", 4, 0, over(torch.all, 1), (TABLE > 0,)),
            Call("any", 4, 0, over(torch.any, 1), (TABLE > 0,)),
            Call("logcumsumexp", 20, 8, over(torch.logcumsumexp, 1), (TABLE,)),
            Call("normalize", 24, 6, F.normalize, (TABLE,)),
            Call("normalize, p = 3", 61, 6, over(F.normalize, 3), (TABLE,)),
            Call("dist", 8, 2, torch.dist, (TABLE, TABLE.flip(0))),
            Call("pairwise_distance", 9, 4, F.pairwise_distance, (TABLE, TABLE.flip(0))),
            Call("cosine_similarity", 52, 8, F.cosine_similarity, (TABLE, TABLE.flip(0))),
        ],
    ),
    Family(
        "Extrema, order and search",
        "argument",
        [
            *(
                Call(name, rounds, 0, over(getattr(torch, name), 1), (TABLE,))
                for rounds, names in (
                    (16, ("amax", "amin")),
                    (19, ("max", "min", "argmax", "argmin", "cummax", "cummin")),
                )
                for name in names
            ),
            Call("sort", 6, 0, torch.sort, (TABLE,)),
            Call("argsort", 6, 0, torch.argsort, (TABLE,)),
            Call("msort", 6, 0, torch.msort, (TABLE,)),
            Call("topk", 6, 0, over(torch.topk, 3), (TABLE,)),
            Call("kthvalue", 6, 0, over(torch.kthvalue, 3), (TABLE,)),
            Call("median", 6, 0, over(torch.median, 1), (TABLE,)),
            Call("nanmedian", 6, 0, over(torch.nanmedian, 1), (TABLE,)),
            Call("quantile", 6, 1, over(torch.quantile, 0.3, 1), (TABLE,)),
            Call("nanquantile", 6, 1, over(torch.nanquantile, 0.3, 1), (TABLE,)),
            Call("bucketize", 4, 0, over(torch.bucketize, torch.linspace(-2, 2, 9)), (X,)),
            Call(
                "searchsorted, secret bounds",
                4,
                0,
                lambda x, bounds: torch.searchsorted(bounds, x),
                (X, ROW.sort().values),
            ),
            Call("cdist", 9, 4, torch.cdist, (TABLE, TABLE + 1)),
            Call("cdist, p = 3", 45, 4, over(torch.cdist, TABLE + 1, 3.0), (TABLE,)),
            Call("pdist", 8, 4, torch.pdist, (TABLE,)),
        ],
    ),
    Family(
        "Random draws, of public numbers",
        "argument",
        [
            Call("dropout", 0, None, F.dropout, (X,)),
            Call("gumbel_softmax, hard", 46, None, over(F.gumbel_softmax, hard=True), (TABLE,)),
            Call("rand_like", 0, None, torch.rand_like, (X,)),
            Call("randn_like", 0, None, torch.randn_like, (X,)),
            Call("randint_like", 0, None, over(torch.randint_like, 9), (X,)),
            Call("uniform_", 0, None, lambda x: x.clone().uniform_(), (X,)),
            Call("normal_", 0, None, lambda x: x.clone().normal_(), (X,)),
            Call("bernoulli_", 0, None, lambda x: x.clone().bernoulli_(0.5), (X,)),
        ],
    ),
]
