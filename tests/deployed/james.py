"""The provider's service: `python james.py parties.toml`, until killed."""

import sys
import threading

from mpctensor.deployment import load
from mpctensor.provider import Service

if __name__ == "__main__":
    config = load(sys.argv[1])
    service = Service(
        config.identity("james"),
        config.provider.address,
        config.names,
        timeout=config.timeout,
        startup=config.startup,
        log=lambda line: print(line, flush=True),
    )
    print("ready", flush=True)
    threading.Event().wait()
