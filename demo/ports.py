"""EDGE: TCP ports on 127.0.0.1: which are free."""

import atexit
import socket
import sys
from collections import deque
from random import SystemRandom
from typing import Final

from demo.errors import PortInUse

LOCALHOST = "127.0.0.1"
# Above the demo's own ports, below those that Linux, macOS and Windows give away by themselves.
GIVEN_BY_US: Final = range(20_000, 32_768)
_CHOICE: Final = SystemRandom()
# Held for whoever was told of them, newest last.
HELD_AT_ONCE: Final = 200
_held: deque[socket.socket] = deque()


def free_port() -> int:
    """Return a port nobody listens on now, and that nobody else is told of.

    It lies below those that the system gives away by itself, to clients and to servers that leave
    the choice to it. On Linux it stays bound here, without listening, so that another process that
    asks finds another one; a server that reuses addresses, as all do, can still listen on it.
    Elsewhere take it soon, before somebody else does.
    """
    for port in _CHOICE.sample(GIVEN_BY_US, k=HELD_AT_ONCE):
        probe = socket.socket()
        try:
            probe.bind((LOCALHOST, port))
        except OSError:
            probe.close()
        else:
            _hold(probe)
            return port
    raise PortInUse(f"No port from {GIVEN_BY_US.start} to {GIVEN_BY_US.stop - 1} is free.")


def _hold(probe: socket.socket) -> None:
    if sys.platform == "linux":
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        _held.append(probe)
    else:
        probe.close()
    if len(_held) > HELD_AT_ONCE:
        _held.popleft().close()


@atexit.register
def let_go() -> None:
    """Hold no port any more."""
    while _held:
        _held.popleft().close()


def is_free(port: int) -> bool:
    """Say whether a server could listen on `port` of 127.0.0.1."""
    with socket.socket() as probe:
        # Servers set this too: connections of an earlier run that linger do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOCALHOST, port))
        except OSError:
            return False
        return True


def ensure_free(port: int, purpose: str) -> None:
    """Raise `PortInUse`, naming the purpose, unless a server could listen on `port`."""
    if not is_free(port):
        raise PortInUse(f"Port {port}, meant for {purpose}, is in use by another program.")


def answers(port: int) -> bool:
    """Say whether something accepts connections on `port` of 127.0.0.1."""
    try:
        with socket.create_connection((LOCALHOST, port), timeout=1):
            return True
    except OSError:
        return False
