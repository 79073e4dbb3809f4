"""torch.save and torch.load of what is encrypted: the same comes back, or nothing does."""

import io
import json
import pickle
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import nn

import mpctensor as mpc
from mpctensor import SessionError, SharedTensor
from mpctensor.checkpoint import pickled
from mpctensor.checkpoint.pickled import reduced, restored
from mpctensor.share import ABSENT
from mpctensor.tensor import unwrap, wrap
from tests.checkpoint.table import Seat, Table
from tests.plaintext import ULP, on_grid
from tests.sharing import make_session, raw_of, share_value

X = on_grid(3, 4)


def again(value, **options):
    """What torch.load makes of what torch.save wrote."""
    file = io.BytesIO()
    torch.save(value, file)
    file.seek(0)
    return torch.load(file, **options)


# In one process


@pytest.mark.parametrize("weights_only", [True, False])
@pytest.mark.parametrize("mode", [torch.enable_grad, torch.no_grad, torch.inference_mode])
def test_tensors(mode, weights_only):
    values = [X, X.double(), X.bfloat16(), torch.tensor(1.5), torch.zeros(0, 3), X.t(), X[:, ::2]]
    values += [torch.tensor([1, -2]), torch.tensor([True, False]), X[:1].expand(3, 4)]
    for value in values:
        with mode():
            got = again(mpc.encrypt(value), weights_only=weights_only)
            assert type(got) is SharedTensor and not got.requires_grad
            assert got.dtype == value.dtype and torch.equal(got.decrypt(), value)
            assert torch.equal((got + got).decrypt(), value + value)


def test_what_torch_keeps_of_a_tensor_is_kept():
    for value in (
        nn.Parameter(X.clone()),
        nn.Parameter(X.clone(), False),
        X.clone().requires_grad_(),
    ):
        plain, got = again(value), again(mpc.encrypt(value))
        assert got.requires_grad == plain.requires_grad and got.is_leaf
        assert isinstance(got, nn.Parameter) == isinstance(plain, nn.Parameter)
    result = again(mpc.encrypt(X.clone().requires_grad_()) * 2)
    assert result.requires_grad and result.is_leaf
    fine = mpc.encrypt(X, precision=20)
    assert "precision=20" in repr(again(fine)) and torch.equal(again(fine).decrypt(), X)
    tenths = mpc.encrypt(torch.tensor([0.3]), base=10, precision=2)
    assert repr(again(tenths)) == repr(tenths) and torch.equal(
        again(tenths).decrypt(), tenths.decrypt()
    )


@pytest.mark.parametrize("options", [{}, {"weights_only": False}, {"map_location": "cpu"}])
def test_a_run_goes_on(tmp_path, options):
    """Training that is saved and loaded ends where uninterrupted training does."""

    def build():
        torch.manual_seed(0)
        model = mpc.encrypt(nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Linear(3, 1)))
        return model, torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)

    def train(model, optimizer):
        for _ in range(3):
            optimizer.zero_grad()
            model(mpc.encrypt(X)).square().mean().backward()
            optimizer.step()

    with mpc.init():
        model, optimizer = build()
        train(model, optimizer)
        state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "epoch": 3}
        torch.save(state, tmp_path / "run.pt")
        train(model, optimizer)
        expected = mpc.decrypt(model.state_dict())
    with mpc.init():
        model, optimizer = build()
        state = torch.load(tmp_path / "run.pt", **options)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        assert state["epoch"] == 3
        train(model, optimizer)
        for name, value in mpc.decrypt(model.state_dict()).items():
            assert torch.allclose(value.float(), expected[name].float(), atol=64 * ULP), name


def test_second_moments_keep_every_digit():
    model = mpc.encrypt(nn.Linear(4, 1))
    optimizer = torch.optim.Adam(model.parameters())
    (model(mpc.encrypt(X)) / 64).square().mean().backward()
    optimizer.step()
    state, got = optimizer.state_dict()["state"], again(optimizer.state_dict())["state"]
    for index, own in state.items():
        assert own["step"] == got[index]["step"] == 1
        for name in ("exp_avg", "exp_avg_sq"):
            one, other = unwrap(own[name]), unwrap(got[index][name])
            assert (one.scale, one.unit) == (other.scale, other.unit)
            assert torch.equal(raw_of(one), raw_of(other))


@pytest.mark.parametrize("kind", [nn.LSTM, nn.Linear, nn.BatchNorm1d])
def test_whole_modules(kind):
    model = mpc.encrypt(kind(4, 3) if kind is not nn.BatchNorm1d else kind(4)).eval()
    twin = again(model, weights_only=False)
    x = mpc.encrypt(X)
    one, other = (out[0] if kind is nn.LSTM else out for out in (model(x), twin(x)))
    assert torch.allclose(one.detach().decrypt(), other.detach().decrypt(), atol=8 * ULP)
    with torch.no_grad():
        next(twin.parameters()).zero_()
    assert next(model.parameters()).detach().decrypt().any()


def test_memory_is_shared_as_before():
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    model[1].weight = model[0].weight
    state = again(mpc.encrypt(model).state_dict())
    state["0.weight"].zero_()
    assert not state["1.weight"].decrypt().any()
    whole = mpc.encrypt(X.clone())
    row, all_of_it = again([whole[1], whole])
    row.fill_(5)
    assert torch.equal(all_of_it.decrypt()[1], torch.full((4,), 5.0))
    one, same = again([whole, whole])
    assert one is same


def test_pickle(tmp_path):
    x = mpc.encrypt(X)
    assert torch.equal(pickle.loads(pickle.dumps(x)).decrypt(), X)
    torch.save(x, tmp_path / "x.pt")
    assert torch.equal((torch.load(tmp_path / "x.pt", mmap=True) * 2).decrypt(), X * 2)


def test_neither_masks_nor_openings_are_saved():
    with mpc.init(seed=3) as session:
        x = mpc.encrypt(X)
        before = len(pickle.dumps(x))
        (x * x).relu().decrypt()  # x is open now, under its mask
        facts = unwrap(x).facts
        assert facts.mask is not None and facts.opened is not None
        content = pickle.dumps(x)
        assert len(content) == before
        secrets = [facts.opened.numpy().tobytes(), session._public_seed]
        assert not any(secret[:8] in content for secret in secrets)
        twin = unwrap(again(x)).facts
        assert twin.mask is None and twin.opened is None and not twin.derived
        assert twin.public is None


def test_a_closed_session_saves_nothing():
    with mpc.init():
        x = mpc.encrypt(X)
    with pytest.raises(SessionError, match="closed"):
        torch.save(x, io.BytesIO())


@pytest.mark.simulated
def test_saving_and_loading_take_no_round():
    x = mpc.encrypt(X)
    with mpc.cost() as cost:
        again({"x": x, "y": [x[0]]})
    assert cost.rounds == cost.bytes_sent == cost.provider_bytes == 0


# Bad files


def test_files_of_other_parties(tmp_path):
    with mpc.init(("carol", "dave"), "erin"):
        torch.save(mpc.encrypt(X), tmp_path / "x.pt")
    with mpc.init(), pytest.raises(SessionError, match="carol, dave; this one is of alice, bob"):
        torch.load(tmp_path / "x.pt")
    with (
        mpc.init(("dave", "carol"), "erin"),
        pytest.raises(SessionError, match="it is of a session"),
    ):
        torch.load(tmp_path / "x.pt")


@pytest.mark.parametrize("weights_only", [True, False])
def test_truncated_files(tmp_path, weights_only):
    path = tmp_path / "x.pt"
    torch.save({"x": mpc.encrypt(X)}, path)
    content = path.read_bytes()
    for length in range(0, len(content), 97):
        path.write_bytes(content[:length])
        with pytest.raises((RuntimeError, EOFError, pickle.UnpicklingError)):
            torch.load(path, weights_only=weights_only)


def described():
    """What is saved of an encrypted X, with parts of its own."""
    version, text, *parts = reduced(mpc.encrypt(X))[1]
    return version, text, *(part.clone() for part in parts)


def forge(change, parts=None):
    """restored() of what an encrypted X is saved as, after a change of its header."""
    with mpc.init():
        version, text, *kept = described()
        header = json.loads(text)
        change(header)
        return restored(version, json.dumps(header), *(kept if parts is None else parts(kept)))


HEADERS = {
    "party": lambda h: h.update(holds=["alice"]),
    "parties": lambda h: h.update(parties=["alice", "eve"]),
    "shape": lambda h: h["data"][0].__setitem__(1, [4, 3]),
    "huge": lambda h: h["data"][0].__setitem__(1, [1 << 40, 1 << 40]),
    "dtype": lambda h: h["data"][0].__setitem__(0, "quint8"),
    "complex": lambda h: h["data"][0].__setitem__(0, "complex64"),
    "scale": lambda h: h["data"][0].__setitem__(2, 0),
    "plain": lambda h: h["data"][0].__setitem__(slice(2, 4), [None, None]),
    "unit": lambda h: h["data"][0].__setitem__(3, "1"),
    "flag": lambda h: h["tensors"][0].__setitem__(1, 1),
    "nothing": lambda h: h.update(tensors=[], data=[]),
    "two": lambda h: h.update(tensors=2 * h["tensors"]),
    "id": lambda h: h.update(id="00"),
    "counter": lambda h: h.update(counter=0),
    "key": lambda h: h.pop("tree"),
}
PARTS = {
    "none": lambda p: [],
    "one": lambda p: p[:1],
    "three": lambda p: [*p, p[0].clone()],
    "texts": lambda p: ["a", "b"],
    "dtype": lambda p: [part.float() for part in p],
    "shape": lambda p: [p[0], p[1][:2]],
    "layout": lambda p: [p[0], p[1].t().contiguous().t()],
    "sparse": lambda p: [part.to_sparse() for part in p],
    "meta": lambda p: [part.to("meta") for part in p],
    "same memory": lambda p: [p[0], p[0]],
    "in a longer storage": lambda p: [p[0], torch.cat([p[1], p[1]])[:3]],
}


@pytest.mark.parametrize("case", HEADERS)
def test_headers_that_are_none(case):
    with pytest.raises(SessionError, match="an encrypted tensor cannot be loaded: "):
        forge(HEADERS[case])


@pytest.mark.parametrize("case", PARTS)
def test_parts_that_are_none(case):
    with pytest.raises(SessionError, match="an encrypted tensor cannot be loaded: "):
        forge(lambda header: None, PARTS[case])


def test_other_contents():
    with mpc.init():
        version, text, *parts = described()
        for bad in ((version + 1, text), (version, "{"), (version, None), (version, "[]")):
            with pytest.raises(SessionError, match="cannot be loaded"):
                restored(*bad, *parts)
        assert torch.equal(restored(version, text, *parts).decrypt(), X)
        header = json.loads(text)
        header["data"][0][2] *= 2  # another view of the same memory, which has a scale
        with pytest.raises(SessionError, match="views of one memory that do not agree"):
            restored(version, json.dumps(header), *parts)
        _, text, *others = described()
        with pytest.raises(SessionError, match="views of one memory that do not agree"):
            restored(version, text, parts[0], others[1])


def test_the_map_location_says_where_shares_live():
    file = io.BytesIO()
    torch.save(mpc.encrypt(X), file)
    file.seek(0)
    with pytest.raises(SessionError, match="map_location='cpu'"):
        torch.load(file, map_location="meta")


# Between processes: each party here has a session and a transport of its own


def seats(n=2, seed=7):
    table = Table(n)
    return [make_session(n, seed, local=(p,), transport=Seat(table, n, p)) for p in range(n)]


def at_each(sessions, work, monkeypatch):
    """What work(session) gives where that is the active session; without a round."""
    results = []
    for session in sessions:
        monkeypatch.setattr(pickled, "current", lambda session=session: session)
        results.append(work(session))
    return results


def opened(tensors):
    """The plain value, or the error, that each party comes to."""

    def open_one(tensor):
        try:
            return tensor.decrypt()
        except SessionError as error:
            return error

    with ThreadPoolExecutor(len(tensors)) as pool:
        return list(pool.map(open_one, tensors))


def save_all(monkeypatch, seed=7, times=1, n=2):
    """By party, the files of the saves of one session."""

    def work(session):
        files = []
        for k in range(times):
            file = io.BytesIO()
            torch.save(wrap(share_value(session, X + k)), file)
            files.append(file.getvalue())
        return files

    return at_each(seats(n, seed), work, monkeypatch)


def load(content):
    return torch.load(io.BytesIO(content))


@pytest.mark.parametrize("n", [2, 3])
def test_every_party_keeps_its_own_shares(monkeypatch, n):
    files = iter(save_all(monkeypatch, n=n))
    got = at_each(seats(n), lambda session: load(next(files)[0]), monkeypatch)
    for p, tensor in enumerate(got):
        parts = unwrap(tensor).parts
        assert [part is ABSENT for part in parts] == [q != p for q in range(n)]
    for value in opened(got):
        assert torch.equal(value, X)


def test_files_of_two_saves_do_not_mix(monkeypatch):
    (first, second), (one, other) = save_all(monkeypatch, times=2)
    ((elsewhere,), _) = save_all(monkeypatch, seed=8)
    for mixed in ((first, other), (second, one), (elsewhere, one)):
        files = iter(mixed)
        for error in opened(at_each(seats(), lambda session: load(next(files)), monkeypatch)):
            assert isinstance(error, SessionError)


def test_a_party_that_saves_alone_is_found_out():
    sessions = seats()
    tensors = [wrap(share_value(session, X)) for session in sessions]
    torch.save(tensors[0], io.BytesIO())
    for error in opened(tensors):
        assert isinstance(error, SessionError)


def test_the_file_of_another_party(monkeypatch):
    (alice,), _ = save_all(monkeypatch)
    with pytest.raises(SessionError, match="it has the shares of alice; this process is bob"):
        at_each(seats()[1:], lambda session: load(alice), monkeypatch)
    monkeypatch.undo()
    with mpc.init(), pytest.raises(SessionError, match="of alice; this process is all parties"):
        load(alice)
