"""Data-parallel replicas inside each party, on shards of every batch.

At each party: MPCTENSOR_CONFIG=parties.toml MPCTENSOR_PARTY=alice \\
    torchrun --nproc-per-node 2 examples/replicas.py
"""

import torch
import torch.nn.functional as F
from torch import nn

import mpctensor as mpc

STEPS, BATCH = 4, 32


def data() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(BATCH, 3, generator=generator)
    return x, x.sum(1, keepdim=True).relu() + 0.1 * torch.randn(BATCH, 1, generator=generator)


def network() -> nn.Module:
    torch.manual_seed(2)
    return nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 1))


def train(rank: int, replicas: int) -> list[torch.Tensor]:
    """The weights after training on this replica's shard; all replicas end with the same."""
    x, y = (mpc.encrypt(t.chunk(replicas)[rank]) for t in data())
    model = mpc.encrypt(network())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    for step in range(STEPS):
        mpc.broadcast(model)  # each replica rounds its own update
        optimizer.zero_grad()
        loss = F.mse_loss(model(x), y)
        loss.backward()
        mpc.all_reduce(model)
        optimizer.step()
        print(f"replica {rank}, step {step}: loss {loss.decrypt().item():.4f}", flush=True)
    mpc.broadcast(model)
    return [p.detach().decrypt() for p in model.parameters()]


def main() -> None:
    torch.distributed.init_process_group("gloo")
    rank, replicas = torch.distributed.get_rank(), torch.distributed.get_world_size()
    mpc.init()
    print("weights", torch.cat([w.view(-1) for w in train(rank, replicas)]).tolist(), flush=True)
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main()
