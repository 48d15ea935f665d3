"""EDGE: TCP ports on 127.0.0.1: which are free."""

import socket

from demo.errors import PortInUse

LOCALHOST = "127.0.0.1"


def free_port() -> int:
    """Return a port nobody listens on now; take it soon, before somebody else does."""
    with socket.socket() as probe:
        probe.bind((LOCALHOST, 0))
        port: int = probe.getsockname()[1]
        return port


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
