"""AWS over HTTP on this machine: moto's server, a program of its own."""

import json
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

from demo.ports import LOCALHOST, free_port
from tests.started import started


@contextmanager
def running_moto() -> Iterator[str]:
    """Start it, with nothing in it, and give its address."""
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "--host", LOCALHOST, "--port", str(port)]
    with started(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        url = f"http://{LOCALHOST}:{port}"
        ready = threading.Event()
        while not is_moto(url):
            assert server.poll() is None
            ready.wait(0.05)
        yield url


def is_moto(url: str) -> bool:
    """Whether it is moto that answers, and ready: not another program, nor its bare socket."""
    try:
        with urllib.request.urlopen(f"{url}/moto-api/data.json") as answer:
            return isinstance(json.load(answer), dict)
    except (OSError, ValueError):
        return False


def mails_in_moto(url: str) -> list[dict[str, str]]:
    """What its SES has accepted."""
    with urllib.request.urlopen(f"{url}/moto-api/data.json") as answer:
        sent: list[dict[str, str]] = json.load(answer).get("ses", {}).get("RawMessage", [])
    return sent


def forget_everything(url: str) -> None:
    """Begin anew: no mails, no buckets."""
    request = urllib.request.Request(f"{url}/moto-api/reset", method="POST")
    with urllib.request.urlopen(request) as answer:
        answer.read()
