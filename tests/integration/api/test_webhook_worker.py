"""Messages reach partners: at least once, in order for each ride, signed, to public hosts alone."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest
import pytest_asyncio

from api.access.credentials import Scope
from demo.guardian import Guardian
from demo.ports import LOCALHOST, free_port
from demo.processes import Program, inherit_environment
from tests.integration.api.receiver import Receiver, receiving
from tests.integration.api.served import Served
from tests.roles import as_role

END = "UPDATE rides SET ended_at = started_at, end_reason = 'silence' WHERE ended_at IS NULL"
RESUME = "UPDATE rides SET ended_at = NULL, end_reason = NULL WHERE ride_id = 4716"
SCOPES = (Scope.READ, Scope.WEBHOOKS)

T = TypeVar("T")
Start = Callable[..., Program]


@pytest.fixture
def start(guardian: Guardian, fresh: Served, tmp_path: Path) -> Iterator[Start]:
    """Start a worker; it ends with the test."""
    with ExitStack() as programs:

        def started(private_hosts: str = LOCALHOST) -> Program:
            port = free_port()
            program = Program(
                guardian,
                "webhooks",
                [sys.executable, "-W", "error", "-m", "api.webhooks"],
                tmp_path / f"webhooks-{port}.log",
                environment=inherit_environment(
                    DATABASE_URL=as_role(fresh.database_url, "api"),
                    METRICS_PORT=str(port),
                    WEBHOOK_PRIVATE_HOSTS=private_hosts,
                ),
            )
            program.start()
            programs.callback(program.stop)
            return program

        yield started


@pytest_asyncio.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as receiver:
        yield receiver


async def subscribe(fresh: Served, url: str, **wanted: object) -> tuple[int, str]:
    """A webhook that leads to a host of this machine: its number and its secret.

    The API of these tests takes public addresses alone, so it is pointed there afterwards.
    """
    async with await fresh.client(*SCOPES) as client:
        public = {"url": "https://partner.example.com/", **wanted}
        webhook = (await client.post("/v1/webhooks", json=public)).json()
    await fresh.execute(
        "UPDATE webhooks SET url = $1 WHERE webhook_id = $2 RETURNING 1", url, webhook["webhook_id"]
    )
    return webhook["webhook_id"], webhook["secret"]


async def look(fresh: Served, path: str) -> Any:  # noqa: ANN401  any answer
    """What the API tells of webhooks."""
    async with await fresh.client(*SCOPES) as client:
        answer = await client.get(path)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def until(holds: Callable[[], Awaitable[T]]) -> T:
    """What holds at last; the test's own time bounds the wait."""
    while True:
        if found := await holds():
            return found
        await asyncio.sleep(0.05)


async def deliveries(fresh: Served, number: int, state: str) -> list[Any]:
    """The messages of a webhook in a state."""
    found = await look(fresh, f"/v1/webhooks/{number}/deliveries?state={state}")
    return list(found["deliveries"])


async def test_what_changes_is_told_signed_and_shown(
    fresh: Served, receiver: Receiver, start: Start
) -> None:
    number, secret = await subscribe(fresh, receiver.url, kinds=["ride.ended", "ride.deleted"])
    start()
    await fresh.execute(END)
    await fresh.execute("DELETE FROM rides WHERE ride_id = 4715")
    # A kind that nobody wants to be told of.
    await fresh.execute("UPDATE riders SET weight_kg = 70")
    await receiver.until(lambda: len(receiver.bodies) == 2)
    receiver.verify(secret)
    assert sorted(receiver.told) == [("ride.deleted", 4715), ("ride.ended", 4716)]

    async def settled() -> list[Any]:
        done = await deliveries(fresh, number, "delivered")
        return done if len(done) == 2 else []

    for each in await until(settled):
        assert (each["attempts"], each["last_status"], each["last_error"]) == (1, 204, None)
    webhook = await look(fresh, f"/v1/webhooks/{number}")
    assert (webhook["waiting"], webhook["failures"]) == (0, 0)


async def test_what_is_not_taken_comes_again_and_later_words_of_that_ride_wait(
    fresh: Served, receiver: Receiver, start: Start
) -> None:
    number, _ = await subscribe(fresh, receiver.url)
    refusals = iter([500, 302])
    receiver.answer = lambda message: (
        next(refusals, 200) if message["type"] == "ride.ended" else 200
    )
    start()
    await fresh.execute(END)
    await fresh.execute(RESUME)
    await fresh.execute("DELETE FROM rides WHERE ride_id = 4715")
    for tries, error in ((1, "answered 500"), (2, "answered 302")):

        async def failed(error: str = error) -> list[Any]:
            waiting = await deliveries(fresh, number, "pending")
            return [each for each in waiting if each["last_error"] == error]

        [waiting] = await until(failed)
        assert waiting["attempts"] == tries
        # So that the test need not wait for the time that is set.
        await fresh.execute("UPDATE webhook_deliveries SET next_try_at = now()")
        await fresh.execute("UPDATE webhooks SET next_try_at = now()")
    await receiver.until(lambda: ("ride.resumed", 4716) in receiver.told)
    of_ride = [kind for kind, ride in receiver.told if ride == 4716]
    assert of_ride == ["ride.ended"] * 3 + ["ride.resumed"]
    assert ("ride.deleted", 4715) in receiver.told
    ids = [each["webhook-id"] for each in receiver.headers]
    assert len(set(ids)) == 3


async def test_workers_side_by_side_send_each_once_and_never_two_of_a_ride_at_a_time(
    fresh: Served, receiver: Receiver, start: Start
) -> None:
    number, _ = await subscribe(fresh, receiver.url)
    for _ in range(3):
        start()
    for _ in range(10):
        await fresh.execute(END)
        await fresh.execute(RESUME)
        await fresh.execute("UPDATE riders SET weight_kg = coalesce(weight_kg, 60) + 1")
    await receiver.until(lambda: len(receiver.bodies) >= 50)

    async def done() -> bool:
        return len(await deliveries(fresh, number, "delivered")) == 50

    await until(done)
    assert len(receiver.bodies) == len({each["webhook-id"] for each in receiver.headers}) == 50
    assert not receiver.overtaken
    changes = [each["data"]["change_id"] for each in receiver.messages if each["data"]["ride_id"]]
    assert changes == sorted(changes)


async def test_a_worker_that_is_killed_loses_nothing(
    fresh: Served, receiver: Receiver, start: Start
) -> None:
    number, _ = await subscribe(fresh, receiver.url)
    receiver.holds = asyncio.Event()
    victim = start()
    await fresh.execute(END)
    await receiver.until(lambda: len(receiver.bodies) == 1)
    assert victim.pid is not None
    os.kill(victim.pid, signal.SIGKILL)
    receiver.holds.set()
    # Its time with the message is up.
    await fresh.execute("UPDATE webhook_deliveries SET owned_until = now()")
    start()
    await receiver.until(lambda: len(receiver.bodies) == 2)

    async def done() -> list[Any]:
        return await deliveries(fresh, number, "delivered")

    [delivery] = await until(done)
    assert delivery["attempts"] == 2
    assert len({each["webhook-id"] for each in receiver.headers}) == 1


async def test_one_that_takes_nothing_for_three_days_is_switched_off_and_on_by_its_owner(
    fresh: Served, receiver: Receiver, start: Start
) -> None:
    number, _ = await subscribe(fresh, receiver.url)
    receiver.answer = lambda _: 503
    start()
    await fresh.execute(END)
    await receiver.until(lambda: len(receiver.bodies) == 1)

    async def failing() -> bool:
        return bool((await look(fresh, f"/v1/webhooks/{number}"))["failing_since"])

    await until(failing)
    await fresh.execute(
        "UPDATE webhooks SET failing_since = now() - interval '3 days', next_try_at = now()"
    )
    await fresh.execute("UPDATE webhook_deliveries SET next_try_at = now(), give_up_at = now()")

    async def off() -> dict[str, Any] | None:
        webhook: dict[str, Any] = await look(fresh, f"/v1/webhooks/{number}")
        return webhook if webhook["state"] == "off" else None

    webhook = await until(off)
    assert webhook is not None
    assert webhook["off_because"] == "dead"
    assert len(await deliveries(fresh, number, "failed")) == 1
    receiver.answer = lambda _: 204
    await fresh.execute(RESUME)
    async with await fresh.client(*SCOPES) as client:
        on = (await client.post(f"/v1/webhooks/{number}/on")).json()
    assert (on["state"], on["off_because"], on["failures"]) == ("on", None, 0)
    await receiver.until(lambda: ("ride.resumed", 4716) in receiver.told)


async def test_one_that_says_it_is_gone_is_switched_off_at_once(
    fresh: Served, receiver: Receiver, start: Start
) -> None:
    number, _ = await subscribe(fresh, receiver.url)
    receiver.answer = lambda _: 410
    start()
    await fresh.execute(END)

    async def gone() -> bool:
        return bool((await look(fresh, f"/v1/webhooks/{number}"))["off_because"] == "gone")

    await until(gone)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost.partner.example"])
async def test_nothing_goes_to_a_host_of_ours(
    fresh: Served, receiver: Receiver, start: Start, host: str
) -> None:
    """Also where the row was there before the rule, and where a name leads to us."""
    number, _ = await subscribe(fresh, receiver.url.replace(LOCALHOST, host))
    start(private_hosts="")
    await fresh.execute(END)

    async def refused() -> list[Any]:
        waiting = await deliveries(fresh, number, "pending")
        return [each for each in waiting if each["last_error"]]

    [waiting] = await until(refused)
    assert waiting["last_status"] is None
    assert receiver.bodies == []


async def test_the_webhooks_of_a_revoked_key_are_told_nothing(
    fresh: Served, receiver: Receiver, start: Start
) -> None:
    async with receiving() as other:
        await subscribe(fresh, receiver.url)
        await fresh.execute("UPDATE api_keys SET revoked_at = now()")
        fresh._keys.clear()
        await subscribe(fresh, other.url)
        start()
        await fresh.execute(END)
        await other.until(lambda: len(other.bodies) == 1)
    assert receiver.bodies == []


async def test_a_sandbox_keys_webhook_is_told_of_the_simulated_and_others_of_the_real(
    fresh: Served, receiver: Receiver, start: Start
) -> None:
    async with receiving() as sandbox:
        await subscribe(fresh, receiver.url, kinds=["ride.ended"])
        fresh._keys.clear()
        number, _ = await subscribe(fresh, sandbox.url, kinds=["ride.ended"])
        await fresh.execute(
            "UPDATE api_keys SET sandbox = true WHERE key_id = "
            f"(SELECT key_id FROM webhooks WHERE webhook_id = {number}); "
            "INSERT INTO bikes VALUES ('SANDBOX0001'); "
            "INSERT INTO rides (ride_id, bike_serial, started_at) "
            "VALUES (9001, 'SANDBOX0001', '2026-03-02 09:00Z')"
        )
        start()
        await fresh.execute(END)
        await receiver.until(lambda: bool(receiver.told))
        await sandbox.until(lambda: bool(sandbox.told))
    assert receiver.told == [("ride.ended", 4716)]
    assert sandbox.told == [("ride.ended", 9001)]


async def test_the_worker_tells_how_it_is_and_logs_no_secret_or_address(
    fresh: Served, receiver: Receiver, start: Start
) -> None:
    _, secret = await subscribe(fresh, f"{receiver.url}")
    receiver.answer = lambda _: 500
    worker = start()
    pages = f"http://{LOCALHOST}:{worker.log_file.stem.removeprefix('webhooks-')}"
    await fresh.execute(END)
    async with httpx.AsyncClient(base_url=pages) as client:

        async def counted() -> bool:
            figures = (await client.get("/metrics")).text
            return 'webhooks_tries_total{end="not taken"} 1.0' in figures

        await receiver.until(lambda: len(receiver.bodies) == 1)
        await until(counted)
        assert (await client.get("/health")).json()["healthy"] is True
    log = worker.log_file.read_text()
    assert [json.loads(line)["event"] for line in log.splitlines()] == ["message not taken"]
    for kept in (secret, receiver.url, "deloton@"):
        assert kept not in log
