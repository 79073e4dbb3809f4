"""What each party runs: torch.save twice, torch.load; at last alice takes another save than bob."""

import json
import sys
from pathlib import Path

import torch

import mpctensor as mpc


def main() -> None:
    party, folder = mpc.party(), Path(sys.argv[1])
    x = mpc.encrypt(torch.tensor([1.5, -2.0]), src="alice")
    model = torch.nn.Linear(2, 1)
    torch.save({"x": x, "model": mpc.encrypt(model).state_dict()}, folder / f"{party}.pt")
    torch.save({"x": x + 1}, folder / f"{party}-later.pt")
    state = torch.load(folder / f"{party}.pt")
    model.load_state_dict(state["model"])
    said = {"x": state["x"].decrypt().tolist(), "out": list(model(state["x"]).shape)}
    other = torch.load(folder / f"{party}{'-later' if party == 'alice' else ''}.pt")["x"]
    try:
        other.decrypt()
    except mpc.SessionError as error:
        said["error"] = str(error)
    print(json.dumps(said))


if __name__ == "__main__":
    main()
