"""What each party runs: torch.save twice, torch.load; at last alice takes another save than bob."""

import json

import torch

import mpctensor as mpc


def main() -> None:
    party = mpc.party()
    x = mpc.encrypt(torch.tensor([1.5, -2.0]), src="alice")
    model = torch.nn.Linear(2, 1)
    torch.save({"x": x, "model": mpc.encrypt(model).state_dict()}, f"{party}.pt")
    torch.save({"x": x + 1}, f"{party}-later.pt")
    state = torch.load(f"{party}.pt")
    model.load_state_dict(state["model"])
    said = {"x": state["x"].decrypt().tolist(), "out": list(model(state["x"]).shape)}
    other = torch.load(f"{party}-later.pt" if party == "alice" else f"{party}.pt")["x"]
    try:
        other.decrypt()
    except mpc.SessionError as error:
        said["error"] = str(error)
    print(json.dumps(said))


if __name__ == "__main__":
    main()
