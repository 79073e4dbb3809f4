"""SPU: one party of semi2k over brpc; `python -m benchmarks.peers.run_spu RANK ADDRESS ADDRESS`.

18 fractional bits; its default provider of triples: rank 0 holds all seeds. Rounds and bytes are
those that its profiler logs about the link, in a run of their own. Images and filters are laid out
as is usual with jax, channels last, with which SPU trains faster.
"""

from __future__ import annotations

import os
import pickle
import re
import sys
import tempfile
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import spu
from jax import lax
from spu import libspu
from spu.utils import frontend

from .serving import own_stdout, serve
from .works import INPUTS, NETWORKS, RATE, Arrays, Layer, Row

LINK = re.compile(r"Link details: total send bytes (\d+), .*send actions (\d+)")
TIMEOUT = 600_000  # ms without a message


def channels_last(name: str, array: Any) -> Any:
    """torch's layout to jax's, for images ("x", "out") and filters."""
    if array.ndim < 4:
        return array
    return array.transpose(0, 2, 3, 1) if name in ("x", "out") else array.transpose(2, 3, 1, 0)


def channels_first(name: str, array: Any) -> Any:
    """The way back."""
    if array.ndim < 4:
        return array
    return array.transpose(0, 3, 1, 2) if name in ("x", "out") else array.transpose(3, 2, 0, 1)


def pool(x: Any, size: int = 2) -> Any:
    window = (1, size, size, 1)
    return lax.reduce_window(x, -jnp.inf, lax.max, window, window, "VALID")


OPERATIONS: dict[str, Callable[..., Any]] = {
    "matmul": jnp.matmul,
    "mul": jnp.multiply,
    "greater": lambda x: x > 0,
    "relu": jax.nn.relu,
    "max_pool": pool,
    "exp": jnp.exp,
    "sigmoid": jax.nn.sigmoid,
    "tanh": jnp.tanh,
    "gelu": jax.nn.gelu,  # by default the form with tanh
    "reciprocal": lambda x: 1 / x,
    "log": jnp.log,
    "rsqrt": lax.rsqrt,
    "softmax": lambda x: jax.nn.softmax(x, axis=1),
}


def forward(layers: list[Layer], weights: dict[str, Any], x: Any) -> Any:
    """The network's output."""
    for place, (kind, *sizes) in enumerate(layers):
        weight, bias = weights.get(f"{place}.weight"), weights.get(f"{place}.bias")
        match kind:
            case "conv":
                layout = ("NHWC", "HWIO", "NHWC")
                x = lax.conv_general_dilated(x, weight, (1, 1), "VALID", dimension_numbers=layout)
                x = x + bias
            case "linear":
                x = x @ weight.T + bias
            case "relu":
                x = jax.nn.relu(x)
            case "pool":
                x = pool(x, *sizes)
            case "flatten":
                x = x.transpose(0, 3, 1, 2).reshape(len(x), -1)  # the order of torch's weights
    return x


def function(row: Row) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """The row as a function of all its inputs, for jax to trace."""

    def operation(given: dict[str, Any]) -> dict[str, Any]:
        return {"out": OPERATIONS[row.op](*given.values())}

    def infer(given: dict[str, Any]) -> dict[str, Any]:
        return {"out": forward(NETWORKS[row.network], given, given["x"])}

    def step(given: dict[str, Any]) -> dict[str, Any]:
        weights = {name: value for name, value in given.items() if name not in INPUTS}

        def loss(weights: dict[str, Any]) -> Any:
            scores = jax.nn.log_softmax(forward(NETWORKS[row.network], weights, given["x"]))
            return -(scores * given["target"]).sum(1).mean()

        slopes = jax.grad(loss)(weights)
        return {name: weights[name] - RATE * slopes[name] for name in weights}

    return {"infer": infer, "step": step}.get(row.op, operation)


def settings(profile: bool) -> libspu.RuntimeConfig:
    config = libspu.RuntimeConfig(
        protocol=libspu.ProtocolKind.SEMI2K, field=libspu.FieldType.FM64, fxp_fraction_bits=18
    )
    config.max_concurrency = int(os.environ["OMP_NUM_THREADS"])
    config.enable_pphlo_profile = profile
    return config


VERSIONS = {"spu": spu.__version__, "jax": jax.__version__}


class Spu:
    """The rows, compiled by jax and by SPU before the clock starts."""

    def __init__(self, rank: int, addresses: list[str]) -> None:
        line_up = libspu.link.Desc()
        line_up.recv_timeout_ms = TIMEOUT
        for place, address in enumerate(addresses):
            line_up.add_party(f"party{place}", address)
        self._link = libspu.link.create_brpc(line_up, rank)
        self._io = spu.Io(len(addresses), settings(False))

    def load(self, row: Row, arrays: Arrays) -> None:
        arrays = {name: channels_last(name, array) for name, array in arrays.items()}
        names = sorted(arrays)  # as jax orders the entries of a dict
        compiled, made = frontend.compile(
            frontend.Kind.JAX,
            function(row),
            [arrays],
            {},
            [f"in-{name}" for name in names],
            [libspu.Visibility.VIS_SECRET] * len(names),
            lambda flat: [f"out-{place}" for place in range(len(flat))],
        )
        self._executable, self._names = compiled, sorted(made)
        self._shares = {f"in-{name}": self._shared(arrays[name]) for name in names}
        self._runtime = self._loaded(settings(False))

    def _loaded(self, config: libspu.RuntimeConfig) -> Any:
        runtime = spu.Runtime(self._link, config)
        for name, share in self._shares.items():
            runtime.set_var(name, share)
        return runtime

    def _shared(self, array: Any) -> Any:
        """This party's share; party 0 deals them."""
        if self._link.rank == 0:
            mine, theirs = self._io.make_shares(array, libspu.Visibility.VIS_SECRET)
            self._link.send(1, pickle.dumps(theirs))
            return mine
        return pickle.loads(self._link.recv(0))

    def prepare(self) -> None:
        """Nothing: a run leaves the inputs as they are."""

    def run(self) -> None:
        self._runtime.run(self._executable)

    def count(self) -> dict[str, float]:
        runtime = self._loaded(settings(True))
        with tempfile.TemporaryFile() as log:
            stdout = os.dup(1)
            os.dup2(log.fileno(), 1)
            try:
                runtime.run(self._executable)
            finally:
                os.dup2(stdout, 1)
                os.close(stdout)
            log.seek(0)
            said = LINK.search(log.read().decode())
        return {} if said is None else {"rounds": int(said[2]), "sent": int(said[1])}

    def outputs(self) -> dict[str, Any] | None:
        made = {}
        for place, name in enumerate(self._names):
            share = self._runtime.get_var(f"out-{place}")
            if self._link.rank == 0:
                whole = self._io.reconstruct([share, pickle.loads(self._link.recv(1))])
                made[name] = channels_first(name, whole)
            else:
                self._link.send(0, pickle.dumps(share))
        return made or None


if __name__ == "__main__":
    replies = own_stdout()
    serve(Spu(int(sys.argv[1]), sys.argv[2:]), VERSIONS, replies)
