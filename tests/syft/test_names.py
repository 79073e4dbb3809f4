"""The names of PySyft 0.2 one by one: workers, fixed precision, sharing, printing, errors."""

from __future__ import annotations

import copy
import re
import subprocess
import sys

import pytest
import torch
from torch import nn

import mpctensor as mpc
import mpctensor.syft as sy


@pytest.fixture
def hook() -> sy.TorchHook:
    return sy.TorchHook(torch)


@pytest.fixture
def owners(hook: sy.TorchHook) -> list[sy.VirtualWorker]:
    return [sy.VirtualWorker(hook, id=name) for name in ("bob", "alice")]


@pytest.fixture
def james(hook: sy.TorchHook) -> sy.VirtualWorker:
    return sy.VirtualWorker(id="james", hook=hook)


Owners = list[sy.VirtualWorker]


# Hook and workers


def test_only_the_hook_patches_torch() -> None:
    code = (
        "import torch, mpctensor.syft as sy\n"
        "assert not hasattr(torch.Tensor, 'fix_precision')\n"
        "assert not hasattr(torch.nn.Module, 'share')\n"
        "sy.TorchHook(torch)\n"
        "method = torch.Tensor.fix_precision_\n"
        "sy.TorchHook(torch)\n"
        "assert torch.Tensor.fix_precision_ is method\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=100)


def test_hook_takes_torch() -> None:
    with pytest.raises(TypeError, match="torch module"):
        sy.TorchHook(sys)


def test_workers_take_both_argument_orders(hook: sy.TorchHook) -> None:
    for worker in (
        sy.VirtualWorker(id="alice", hook=hook),
        sy.VirtualWorker(hook, id="alice"),
        sy.VirtualWorker(hook, "alice"),
        sy.VirtualWorker("alice", hook),
    ):
        assert worker.id == "alice" and worker.hook is hook


def test_worker_repr_counts_living_objects(hook: sy.TorchHook) -> None:
    dora, emil = (sy.VirtualWorker(hook, id=name) for name in ("dora", "emil"))
    provider = sy.VirtualWorker(hook, id="james")
    assert repr(dora) == "<VirtualWorker id:dora #objects:0>"
    x = torch.tensor([1, 2]).share(dora, emil, crypto_provider=provider)
    assert repr(dora) == "<VirtualWorker id:dora #objects:1>"
    del x
    assert repr(dora) == "<VirtualWorker id:dora #objects:0>"


def test_worker_needs_a_name(hook: sy.TorchHook) -> None:
    with pytest.raises(TypeError, match="needs a name"):
        sy.VirtualWorker(hook)


# Fixed precision


def test_fix_precision_cuts_toward_zero(hook: sy.TorchHook) -> None:
    x = torch.tensor([1.2349, -1.2349, 0.29, -0.57, 4000.99, 0.0])
    assert x.fix_precision().float_precision().tolist() == pytest.approx(
        [1.234, -1.234, 0.29, -0.57, 4000.99, 0.0], abs=1e-4
    )
    coarse = x.fix_prec(precision_fractional=2).float_prec()
    assert torch.allclose(coarse, torch.tensor([1.23, -1.23, 0.29, -0.57, 4000.99, 0.0]))


def test_fixed_value_has_its_own_type(hook: sy.TorchHook) -> None:
    x = torch.tensor([0.5, 1.25]).fix_precision()
    assert isinstance(x, sy.FixedPrecisionTensor)
    assert repr(x) == "(Wrapper)>FixedPrecisionTensor>tensor([ 500, 1250])"
    assert type(x.float_precision()) is torch.Tensor
    assert isinstance(copy.deepcopy(x), sy.FixedPrecisionTensor)


def test_fixed_arithmetic(hook: sy.TorchHook) -> None:
    x, y = torch.tensor([0.1, 0.2]).fix_precision(), torch.tensor([3.0, -1.5]).fix_precision()
    for got, expected in (
        (x + y, [3.1, -1.3]),
        (x - y, [-2.9, 1.7]),
        (x * y, [0.3, -0.3]),
        (2 * x, [0.2, 0.4]),
        (x / 3, [0.033, 0.067]),
        (x @ y, 0.0),
        (-x.sum(), -0.3),
        (torch.relu(y), [3.0, 0.0]),
    ):
        assert isinstance(got, sy.FixedPrecisionTensor)
        assert torch.allclose(got.float_precision(), torch.tensor(expected), atol=1e-6)
    assert (x > 0.15).tolist() == [False, True]
    assert type(x > 0.15) is torch.Tensor


def test_fixed_arithmetic_with_two_precisions(hook: sy.TorchHook) -> None:
    x = torch.tensor([2.0]).fix_precision(precision_fractional=2)
    y = torch.tensor([2.0]).fix_precision(precision_fractional=4)
    assert (x + y).float_precision().item() == 4.0


def test_fix_precision_of_integers(hook: sy.TorchHook) -> None:
    assert torch.tensor([1, 2]).fix_precision().float_precision().tolist() == [1.0, 2.0]


def test_fixed_precision_in_place(
    hook: sy.TorchHook, owners: Owners, james: sy.VirtualWorker
) -> None:
    x = torch.tensor([0.1239])
    assert x.fix_precision_() is x and isinstance(x, sy.FixedPrecisionTensor)
    assert x.share_(*owners, crypto_provider=james) is x and isinstance(x, mpc.SharedTensor)
    x.get_().float_precision_()
    assert type(x) is torch.Tensor and x.item() == pytest.approx(0.123)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), 1e30])
def test_fix_precision_refuses_what_the_ring_cannot_hold(hook: sy.TorchHook, bad: float) -> None:
    with pytest.raises(mpc.EncodingError):
        torch.tensor([bad]).fix_precision()


def test_precision_too_large_for_the_ring(hook: sy.TorchHook) -> None:
    with pytest.raises(mpc.SessionError, match="at most 5"):
        torch.tensor([1.0]).fix_precision(precision_fractional=6)
    with pytest.raises(mpc.SessionError, match="at most"):
        torch.tensor([1.0]).fix_precision(precision_fractional=20)
    with pytest.raises(mpc.SessionError, match="base"):
        torch.tensor([1.0]).fix_precision(base=3)


def test_base_two(hook: sy.TorchHook, owners: Owners, james: sy.VirtualWorker) -> None:
    x = torch.tensor([0.7]).fix_precision(base=2, precision_fractional=8)
    product = x.share(*owners, crypto_provider=james) * 0.5
    assert product.get().float_precision().item() == pytest.approx(0.35, abs=0.005)


# Sharing


def test_share_and_get(owners: Owners, james: sy.VirtualWorker) -> None:
    x = torch.tensor([[0.5, -2.0]]).fix_precision().share(*owners, crypto_provider=james)
    assert isinstance(x, mpc.SharedTensor) and not x.requires_grad
    fixed = x.get()
    assert repr(fixed) == "(Wrapper)>FixedPrecisionTensor>tensor([[  500, -2000]])"
    assert fixed.float_precision().tolist() == [[0.5, -2.0]]


def test_get_consumes(owners: Owners, james: sy.VirtualWorker) -> None:
    x = torch.tensor([0.5]).fix_precision().share(*owners, crypto_provider=james)
    assert x.copy().get().float_precision().item() == 0.5
    assert x.get().float_precision().item() == 0.5
    for use in (lambda: x.get(), lambda: x + 1, lambda: x.decrypt()):
        with pytest.raises(mpc.SessionError, match=re.escape("copy().get()")):
            use()
    assert "taken by get()" in repr(x)


def test_get_of_a_loss_leaves_the_graph_of_others_alone(
    owners: Owners, james: sy.VirtualWorker
) -> None:
    x = torch.tensor([0.5]).fix_precision()
    x = x.share(*owners, crypto_provider=james, requires_grad=True)
    y = x * x
    loss = y.sum()
    y.get()
    loss.get()
    loss.backward()
    assert x.grad.get().float_precision().item() == pytest.approx(1.0, abs=0.001)


def test_integers_are_shared_as_they_are(owners: Owners, james: sy.VirtualWorker) -> None:
    x = torch.tensor([1, -2, 3]).share(*owners, crypto_provider=james)
    y = torch.tensor([5, 6, 7]).share(*owners, crypto_provider=james)
    assert (x + y).get().tolist() == [6, 4, 10]
    assert (x * y).get().tolist() == [5, -12, 21]


def test_owners_in_any_order_share_one_session(owners: Owners, james: sy.VirtualWorker) -> None:
    x = torch.tensor([1.0]).fix_precision().share(*owners, crypto_provider=james)
    y = torch.tensor([2.0]).fix_precision().share(*owners[::-1], crypto_provider=james)
    assert (x + y).get().float_precision().item() == 3.0


def test_encrypt_and_decrypt(owners: Owners, james: sy.VirtualWorker) -> None:
    x = torch.tensor([0.1239, -7.0])
    secret = x.encrypt(workers=owners, crypto_provider=james, precision_fractional=3)
    assert isinstance(secret, mpc.SharedTensor)
    assert torch.allclose(secret.decrypt(), torch.tensor([0.123, -7.0]))
    assert torch.allclose(secret.decrypt(), torch.tensor([0.123, -7.0]))  # it stays intact
    with pytest.raises(mpc.UnsupportedOperationError, match="paillier"):
        x.encrypt(protocol="paillier")


def test_plain_fixed_and_shared_values_mix(owners: Owners, james: sy.VirtualWorker) -> None:
    x = torch.tensor([1.5, -2.0]).fix_precision()
    secret = x.share(*owners, crypto_provider=james)
    expected = torch.tensor([2.25, 4.0])
    for product in (secret * x, x * secret, secret * x.float_precision()):
        assert torch.allclose(product.get().float_precision(), expected, atol=0.001)


def test_errors_of_share(hook: sy.TorchHook, owners: Owners, james: sy.VirtualWorker) -> None:
    x = torch.tensor([1.0])
    fixed = x.fix_precision()
    with pytest.raises(TypeError, match="fix_precision"):
        x.share(*owners, crypto_provider=james)
    with pytest.raises(mpc.SessionError, match="at least two"):
        fixed.share(owners[0], crypto_provider=james)
    with pytest.raises(mpc.SessionError, match="at least two"):
        fixed.share(crypto_provider=james)
    with pytest.raises(mpc.SessionError, match="crypto provider"):
        fixed.share(*owners)
    with pytest.raises(mpc.SessionError, match="twice"):
        fixed.share(owners[0], owners[0], crypto_provider=james)
    with pytest.raises(mpc.SessionError, match="also a party"):
        fixed.share(*owners, crypto_provider=owners[0])
    with pytest.raises(mpc.SessionError, match="no worker"):
        fixed.share("bob", "alice", crypto_provider=james)
    shared = fixed.share(*owners, crypto_provider=james)
    with pytest.raises(TypeError, match="shared already"):
        shared.share(*owners, crypto_provider=james)
    with pytest.raises(TypeError, match="shared already"):
        shared.fix_precision()
    with pytest.raises(mpc.SecretLeakError, match="get"):
        shared.float_precision()
    with pytest.raises(TypeError, match="plain already"):
        x.get()


def test_refusals(owners: Owners, james: sy.VirtualWorker) -> None:
    x = torch.tensor([1.0]).fix_precision().share(*owners, crypto_provider=james)
    with pytest.raises(ValueError):
        bool(x)
    for leak in (lambda: x.item(), lambda: x.numpy(), lambda: f"{x:.3f}", lambda: float(x)):
        with pytest.raises(mpc.SecretLeakError, match=r"get\(\)"):
            leak()


# Printing


def test_chain(owners: Owners, james: sy.VirtualWorker) -> None:
    x = torch.tensor([1.0]).fix_precision()
    x = x.share(*owners, crypto_provider=james, requires_grad=True)
    head, first, second, last = repr(x).split("\n")
    assert head == "(Wrapper)>AutogradTensor>FixedPrecisionTensor>[AdditiveSharingTensor]"
    names = set()
    for line in (first, second):
        match = re.fullmatch(r"\t-> \[PointerTensor \| me:\d+ -> (\w+):\d+\]", line)
        assert match
        names.add(match[1])
    assert names == {"alice", "bob"}
    assert last == "\t*crypto provider: james*"
    assert repr(x) == str(x) == repr(x)


def test_chain_names_what_there_is(owners: Owners, james: sy.VirtualWorker) -> None:
    x = torch.tensor([1, 2]).share(*owners, crypto_provider=james)
    assert repr(x).startswith("(Wrapper)>[AdditiveSharingTensor]\n")
    y = torch.tensor([1.0]).fix_precision().share(*owners, crypto_provider=james)
    assert repr(y + y).startswith("(Wrapper)>FixedPrecisionTensor>[AdditiveSharingTensor]\n")


def test_chain_belongs_to_these_names_only() -> None:
    assert "AdditiveSharingTensor" not in repr(mpc.encrypt(torch.tensor([1.0])))


# Modules


def test_module_there_and_back(owners: Owners, james: sy.VirtualWorker) -> None:
    model = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    before = copy.deepcopy(model)
    weight = model[0].weight
    assert model.fix_precision() is model
    assert model.share(*owners, crypto_provider=james, requires_grad=True) is model
    assert model[0].weight is weight and isinstance(weight, mpc.SharedTensor)
    assert isinstance(weight, nn.Parameter) and weight.requires_grad
    assert isinstance(model[1].running_mean, mpc.SharedTensor)
    assert repr(weight).startswith("Parameter>AutogradTensor>FixedPrecisionTensor>")
    assert model.get() is model and model.float_precision() is model
    for now, then in zip(model.parameters(), before.parameters(), strict=True):
        assert not isinstance(now, mpc.SharedTensor) and now.requires_grad
        assert (now - then).abs().max() <= 0.001


def test_module_encrypt_and_decrypt(owners: Owners, james: sy.VirtualWorker) -> None:
    model = nn.Linear(3, 2)
    weight = model.weight.detach().clone()
    assert model.encrypt(workers=owners, crypto_provider=james) is model
    x = torch.randn(4, 3)
    secret = x.encrypt(workers=owners, crypto_provider=james)
    plain = nn.functional.linear(x, weight, model.bias.decrypt().detach())
    assert torch.allclose(model(secret).decrypt(), plain, atol=0.01)
    assert torch.allclose(model.decrypt().weight, weight, atol=0.001)


def test_module_errors(owners: Owners, james: sy.VirtualWorker) -> None:
    model = nn.Linear(2, 2)
    with pytest.raises(TypeError, match="fix_precision"):
        model.share(*owners, crypto_provider=james)
    with pytest.raises(mpc.SessionError, match="crypto provider"):
        model.fix_precision().share(*owners)
    assert not isinstance(model.weight, mpc.SharedTensor)
    model.share(*owners, crypto_provider=james)
    with pytest.raises(mpc.SecretLeakError, match="get"):
        model.float_precision()
    with pytest.raises(TypeError, match="shared already"):
        model.fix_precision()


def test_module_trains_on_plain_fixed_values(hook: sy.TorchHook) -> None:
    model = nn.Linear(2, 1).fix_precision(precision_fractional=2)
    assert torch.allclose(model.weight * 100, (model.weight * 100).round(), atol=1e-4)
    model(torch.ones(1, 2)).sum().backward()
    assert model.weight.grad is not None


def test_optimizer_names(hook: sy.TorchHook) -> None:
    opt = torch.optim.SGD(nn.Linear(2, 2).parameters(), lr=0.1)
    for name in ("fix_precision", "fix_prec", "fix_precision_", "fix_prec_", "float_precision"):
        assert getattr(opt, name)() is opt
    assert opt.fix_precision(base=10, precision_fractional=4) is opt
