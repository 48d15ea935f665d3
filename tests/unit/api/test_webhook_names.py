"""Names of webhooks are resolved beside each other: one that nobody answers holds up no other."""

import asyncio
import socket
import threading

import pytest

from api.webhooks.endpoints import PublicResolver


async def test_name_servers_that_do_not_answer_hold_up_no_other_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answered = threading.Event()

    def look_up(host: str, port: int, *_: object) -> list[tuple[object, ...]]:
        if host.startswith("slow"):
            answered.wait()
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("198.51.100.7", port))]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    resolver = PublicResolver({"partner.example.com", *(f"slow{number}" for number in range(50))})
    slow = [asyncio.create_task(resolver.resolve(f"slow{number}")) for number in range(50)]
    await asyncio.sleep(0)
    try:
        [found] = await resolver.resolve("partner.example.com", 443)
        assert (found["host"], found["port"]) == ("198.51.100.7", 443)
        assert not any(task.done() for task in slow)
    finally:
        answered.set()
        await asyncio.gather(*slow)
        await resolver.close()
