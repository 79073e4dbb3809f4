"""Forks scripts off one process that has imported torch, which takes a Python of its own seconds.

This process makes no session and no threads. An order is JSON, the script's arguments and
environment, with the descriptors of its output, its errors and a report, which gets the number of
the script's process and, once it has ended, its exit code.
"""

from __future__ import annotations

import json
import os
import runpy
import signal
import socket
import sys

import mpctensor

assert mpctensor.__all__  # imported for those that are forked


def serve(orders: socket.socket) -> None:
    """Fork for each order until nobody is there to give any; the forked return too."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # keepers need no one who waits for them
    while True:
        text, descriptors, _, _ = socket.recv_fds(orders, 1 << 17, 3)
        if not text:
            return
        if os.fork() == 0:
            orders.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            return keep(json.loads(text), *descriptors)
        for descriptor in descriptors:
            os.close(descriptor)


def keep(order: dict[str, object], output: int, errors: int, report: int) -> None:
    """Fork the script's process, and tell its number and its end."""
    number = os.fork()
    if number == 0:
        os.close(report)
        return become(order, output, errors)
    os.close(output)
    os.close(errors)
    os.write(report, b"%d\n" % number)
    status = os.waitpid(number, 0)[1]
    os.write(report, b"%d\n" % os.waitstatus_to_exitcode(status))
    os._exit(0)


def become(order: dict[str, object], output: int, errors: int) -> None:
    """Run the script as `python` would; what it raises ends this process as it would there."""
    for descriptor, standard in ((output, 1), (errors, 2)):
        os.dup2(descriptor, standard)
        os.close(descriptor)
    os.environ.clear()
    os.environ.update(order["environment"])
    sys.argv = order["arguments"]
    sys.path[0] = os.path.dirname(sys.argv[0])
    runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
