"""Connectionist temporal classification: the forward-backward algorithm on logarithms.

Targets and lengths are public, so which label a state stands for, which steps are allowed and where
a sample ends are too; each step is a logsumexp of three candidates over batch and states at once
(14 rounds a frame). The backward variables are the forward ones of the reversed sequences, so they
run as a second half of the batch in the same rounds, and the gradient takes exponentials only.
Graves et al., "Connectionist temporal classification", ICML 2006.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .. import protocols as mpc
from ..errors import EncodingError, SecretLeakError
from ..share import Share
from .operands import factor, filled, retag, term
from .pointwise import mul
from .registry import implements

aten = torch.ops.aten

NEVER = -float(1 << 20)  # the logarithm of 0; those of products of probabilities lie above
ALIGNED = "ctc forward-backward"


@dataclass(frozen=True)
class Alignment:
    """What is public: N samples of `frames` (N), whose `labels` (N, S) have blanks in between.

    states: how many of a sample's labels count (N). live: where the loss is finite and there are
    frames at all (N).
    """

    labels: Tensor
    frames: Tensor
    states: Tensor
    live: Tensor

    def reversed(self) -> Alignment:
        """The same samples, read from their ends."""
        places = self.states.unsqueeze(1) - 1 - torch.arange(self.labels.shape[1])
        blanks = self.labels[:, :1].expand(self.labels.shape)
        labels = torch.where(places < 0, blanks, self.labels.gather(1, places.clamp(min=0)))
        return Alignment(labels, self.frames, self.states, self.live)

    def times(self, count: int, backwards: bool) -> Tensor:
        """(T, N) the frame that is read at each step; the first beyond a sample's end."""
        steps = torch.arange(count).unsqueeze(1).expand(count, self.frames.numel())
        return (self.frames - 1 - steps).clamp(min=0) if backwards else steps

    def inside(self, count: int) -> Tensor:
        """(T, N) whether a frame belongs to a sample with a finite loss."""
        return (torch.arange(count).unsqueeze(1) < self.frames) & self.live

    def forbidden(self) -> Tensor:
        """(N, S) NEVER where a label may not follow the one before the last, else 0."""
        allowed = torch.zeros(self.labels.shape, dtype=torch.bool)
        allowed[:, 2:] = self.labels[:, 2:] != self.labels[:, :-2]
        return torch.where(allowed, 0.0, NEVER)


def _aligned(
    x: Share, targets: Any, frames: Any, lengths: Any, blank: int, zero_infinity: bool
) -> Alignment:
    if any(isinstance(value, Share) for value in (targets, frames, lengths)):
        raise SecretLeakError(
            "`ctc_loss` with secret targets or lengths would show them: pass public ones"
        )
    frames, lengths = (torch.as_tensor(v, dtype=torch.int64).view(-1) for v in (frames, lengths))
    count, samples, classes = x.shape
    if not frames.numel() == lengths.numel() == samples or not 0 <= blank < classes:
        raise RuntimeError("ctc_loss: lengths for each sample and a blank among the classes")
    longest = int(lengths.max()) if samples else 0
    inside = torch.arange(longest) < lengths.unsqueeze(1)
    rows = torch.zeros(samples, longest, dtype=torch.int64)
    rows[inside] = (targets if targets.dim() == 1 else targets[:, :longest][inside]).to(torch.int64)
    if samples and (int(frames.max()) > count or int(frames.min()) < 0 or int(lengths.min()) < 0):
        raise RuntimeError(f"ctc_loss: lengths must lie between 0 and {count}")
    if bool(((rows < 0) | (rows >= classes))[inside].any()):
        raise RuntimeError("ctc_loss: a target is no class")
    labels = torch.full((samples, 2 * longest + 1), blank)
    labels[:, 1::2] = torch.where(inside, rows, blank)
    repeats = ((rows[:, 1:] == rows[:, :-1]) & inside[:, 1:]).sum(1)
    finite = lengths + repeats <= frames
    if not zero_infinity and not bool(finite.all()):
        raise EncodingError(
            f"ctc_loss: the target of sample {int(finite.long().argmin())} is longer than its"
            " input allows, so its loss is infinite, which shares cannot hold; zero_infinity=True"
            " makes it 0"
        )
    return Alignment(labels, frames, 2 * lengths + 1, finite & (frames > 0))


def _emissions(x: Share, halves: Sequence[tuple[Alignment, bool]]) -> Share:
    """(T, M, S) the log-probability of each state's label, at unit scale."""
    count, samples = x.shape[:2]
    times = torch.cat([one.times(count, backwards) for one, backwards in halves], 1)
    labels = torch.cat([one.labels for one, _ in halves])
    rows = torch.arange(samples).repeat(len(halves))
    return mpc.fit(x.map(lambda part: part[times.unsqueeze(2), rows.view(1, -1, 1), labels]))


def _forward(emissions: Share, forbidden: Tensor) -> Share:
    """(T, M, S) log of the probability of all beginnings that are in state s at time t."""
    count, rows, states = emissions.shape
    never = filled(emissions, (rows, 2), NEVER, emissions.dtype)
    begins = torch.zeros(rows, states)
    begins[:, 2:] = NEVER
    bias = torch.zeros(3, rows, states)
    bias[2] = forbidden
    known = mpc.add(_frame(emissions, 0), term(emissions, begins))
    steps = [known]
    penalty = term(known, bias)
    for t in range(1, count):
        before = mpc.concatenate(lambda parts: torch.cat(list(parts), 1), [never, known])
        candidates = before.map(
            lambda part: torch.stack([part[:, 2:], part[:, 1:-1], part[:, :-2]])
        )
        known = mpc.add(mpc.logsumexp(mpc.add(candidates, penalty), 0), _frame(emissions, t))
        steps.append(known)
    return mpc.concatenate(lambda parts: torch.stack(list(parts)), steps)


def _frame(emissions: Share, t: int) -> Share:
    return emissions.map(lambda part: part[t])


def _likelihood(alpha: Share, public: Alignment) -> Share:
    """(N,) log of the probability of each target: to end in its last label or the blank after."""
    ends = public.frames.clamp(min=1) - 1
    last = torch.stack([public.states - 1, public.states - 2])
    rows = torch.arange(ends.numel())
    two = alpha.map(lambda part: part[ends, rows, last.clamp(min=0)])
    absent = torch.where(last < 0, NEVER, 0.0)
    return mpc.logsumexp(mpc.add(two, term(two, absent)), 0)


@implements(aten._ctc_loss.default, aten._ctc_loss.Tensor)
def ctc_loss(
    x: Share,
    targets: Any,
    input_lengths: Any,
    target_lengths: Any,
    blank: int = 0,
    zero_infinity: bool = False,
) -> tuple[Share, Share]:
    """(-log of each target's probability (N,), the forward variables (N, T, S)).

    x: log-probabilities (T, N, C). A log-probability below 2^-16 counts as it is given; F.softmax
    followed by log would give it as that of 2^-16 at least, F.log_softmax does not.
    """
    public = _aligned(x, targets, input_lengths, target_lengths, blank, zero_infinity)
    halves = [(public, False)]
    if torch.is_grad_enabled():
        halves.append((public.reversed(), True))
    emissions = _emissions(x, halves)
    both = _forward(emissions, torch.cat([one.forbidden() for one, _ in halves]))
    samples = x.shape[1]
    alpha = both.map(lambda part: part[:, :samples].movedim(1, 0).clone())
    score = _likelihood(both, public)
    loss = retag(mul(mpc.neg(score), public.live.to(torch.int64)), x.dtype)
    alpha.facts.derived[ALIGNED] = (public, emissions, both, score)
    return loss, retag(alpha, x.dtype)


@implements(aten._ctc_loss_backward.default, aten._ctc_loss_backward.Tensor)
def ctc_loss_backward(
    gradient: Any,
    x: Share,
    targets: Any,
    input_lengths: Any,
    target_lengths: Any,
    loss: Share,
    log_alpha: Share,
    *options: Any,
) -> Share:
    """(e^x - posterior probability of each class) g, as in torch: for x from a log_softmax."""
    public, emissions, both, score = log_alpha.facts.derived[ALIGNED]
    count, samples, classes = x.shape
    inside = public.inside(count)
    posterior = _posterior(public, emissions, both, score)
    reached = inside.unsqueeze(2) & (
        torch.arange(public.labels.shape[1]) < public.states.view(-1, 1)
    )
    index = public.labels.unsqueeze(0).expand(count, -1, -1)
    by_class = posterior.map(
        lambda part: torch.zeros(count, samples, classes, dtype=torch.int64).scatter_add_(
            2, index, part * reached
        )
    )
    excess = mul(mpc.sub(mpc.exp(x), by_class), inside.unsqueeze(2).to(torch.int64))
    each = factor(x, gradient).map(lambda part: part.view(1, -1, 1))
    return retag(mpc.mul(excess, each), x.dtype)


def _posterior(public: Alignment, emissions: Share, both: Share, score: Share) -> Share:
    """(T, N, S) the probability to be in state s at time t, given the target."""
    count, _, states = both.shape
    samples = public.frames.numel()
    times = public.times(count, True).unsqueeze(2)
    places = (public.states.unsqueeze(1) - 1 - torch.arange(states)).clamp(min=0)
    rows = torch.arange(samples).view(1, -1, 1)
    alpha, here = (s.map(lambda part: part[:, :samples]) for s in (both, emissions))
    beta = both.map(lambda part: part[:, samples:][times, rows, places])
    total = score.map(lambda part: part.view(1, -1, 1))
    return mpc.exp_nonpositive(mpc.sub(mpc.sub(mpc.add(alpha, beta), here), total))
