"""Webhooks as partners make and look at them over HTTP."""

from typing import Any

import httpx
import pytest

from api.access.credentials import Scope
from tests.integration.api.served import Served

PARTNER = {"url": "https://partner.example.com/deloton"}
SCOPES = (Scope.READ, Scope.WEBHOOKS)


async def made(client: httpx.AsyncClient, **wanted: object) -> dict[str, Any]:
    """A new webhook."""
    answer = await client.post("/v1/webhooks", json={**PARTNER, **wanted})
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


async def test_a_webhook_is_made_with_a_secret_that_is_told_once(fresh: Served) -> None:
    async with await fresh.client(*SCOPES) as client:
        webhook = await made(client, kinds=["ride.ended", "ride.deleted"])
        secret = webhook.pop("secret")
        again = (await client.get(f"/v1/webhooks/{webhook['webhook_id']}")).json()
        listed = (await client.get("/v1/webhooks")).json()
    assert secret.startswith("whsec_")
    assert again == webhook
    assert listed == {"webhooks": [webhook]}
    assert webhook["kinds"] == ["ride.deleted", "ride.ended"]
    assert (webhook["state"], webhook["waiting"], webhook["last_change_id"]) == ("on", 0, 3)


async def test_a_webhook_is_its_keys_alone(fresh: Served) -> None:
    async with await fresh.client(*SCOPES) as owner, await fresh.client(*Scope) as other:
        number = (await made(owner))["webhook_id"]
        address = f"/v1/webhooks/{number}"
        assert (await other.get("/v1/webhooks")).json() == {"webhooks": []}
        for method, path in (
            ("GET", address),
            ("DELETE", address),
            ("POST", f"{address}/rotate"),
            ("POST", f"{address}/on"),
            ("GET", f"{address}/deliveries"),
        ):
            assert (await other.request(method, path)).status_code == 404, (method, path)
        assert (await owner.delete(address)).status_code == 204
        assert (await owner.get(address)).status_code == 404


async def test_another_secret_is_another_and_the_former_signs_for_a_day(fresh: Served) -> None:
    async with await fresh.client(*SCOPES) as client:
        first = await made(client)
        second = (await client.post(f"/v1/webhooks/{first['webhook_id']}/rotate")).json()
    assert second["secret"] != first["secret"]
    assert (first["former_secret_until"], bool(second["former_secret_until"])) == (None, True)


OFF = "UPDATE webhooks SET state = 'off', off_because = 'dead'"
END = (
    "UPDATE rides SET ended_at = started_at + interval '100 s', end_reason = 'silence' "
    "WHERE ended_at IS NULL"
)
FORGOTTEN = "UPDATE changes SET noted_at = now() - interval '91 d'"


async def test_one_that_was_off_for_longer_than_changes_are_kept_says_so_when_switched_on(
    fresh: Served,
) -> None:
    async with await fresh.client(*SCOPES) as client:
        address = f"/v1/webhooks/{(await made(client))['webhook_id']}"
        await fresh.execute(OFF)
        await fresh.execute(END)
        # It numbers the change, as the webhooks' worker does each second.
        stands_at = (await client.get("/v1/changes")).json()["last_change_id"]
        await fresh.execute(FORGOTTEN)
        # Old ones go once another comes.
        await fresh.execute("UPDATE riders SET weight_kg = 70 WHERE rider_id = 7001")
        refused = await client.post(f"{address}/on")
        assert (refused.status_code, stands_at) == (410, 4)
        assert refused.json()["type"] == "/problems/changes-forgotten"
        assert "after 3," in refused.json()["detail"]
        still = (await client.get(address)).json()
        assert (still["state"], still["last_change_id"]) == ("off", 3)
        assert (await client.post(f"{address}/on?from_now=false")).status_code == 410
        on = (await client.post(f"{address}/on?from_now=true")).json()
        assert (on["state"], on["off_because"], on["last_change_id"]) == ("on", None, 5)
        # Nothing is missing any more.
        await fresh.execute(OFF)
        assert (await client.post(f"{address}/on")).json()["state"] == "on"


async def test_one_that_was_off_for_a_while_goes_on_where_it_was_unless_told_otherwise(
    fresh: Served,
) -> None:
    async with await fresh.client(*SCOPES) as client:
        address = f"/v1/webhooks/{(await made(client))['webhook_id']}"
        await fresh.execute(OFF)
        # What it was told of is forgotten, and nothing else.
        await fresh.execute(FORGOTTEN)
        await fresh.execute(END)
        assert (await client.post(f"{address}/on")).json()["last_change_id"] == 3
        on = (await client.post(f"{address}/on?from_now=true")).json()
        assert (on["state"], on["last_change_id"]) == ("on", 4)
        wrong = await client.post(f"{address}/on?from_now=soon")
        assert wrong.status_code == 422
        assert (await client.post("/v1/webhooks/999/on?from_now=true")).status_code == 404


@pytest.mark.parametrize(
    ("body", "parameter"),
    [
        ({"url": "http://partner.example.com/"}, "url"),
        ({"url": "https://169.254.169.254/latest/meta-data"}, "url"),
        ({"url": "https://localhost:8000/"}, "url"),
        ({"url": 7}, "url"),
        ({}, "url"),
        ({**PARTNER, "kinds": []}, "kinds"),
        ({**PARTNER, "kinds": ["ride.began"]}, "kinds"),
        ({**PARTNER, "secret": "mine"}, "secret"),
    ],
)
async def test_what_cannot_be_a_webhook_is_refused_by_name(
    served: Served, body: dict[str, Any], parameter: str
) -> None:
    async with await served.client(*SCOPES) as client:
        answer = await client.post("/v1/webhooks", json=body)
    assert answer.status_code == 422
    [error] = answer.json()["errors"]
    assert (error["parameter"], error["in"]) == (parameter, "body")


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b"null"])
async def test_what_is_no_json_object_is_refused(served: Served, body: bytes) -> None:
    async with await served.client(*SCOPES) as client:
        assert (await client.post("/v1/webhooks", content=body)).status_code == 422


async def test_a_body_is_bounded_and_nobody_sends_one_without_a_key(served: Served) -> None:
    async with await served.client(*SCOPES) as client:
        assert (await client.post("/v1/webhooks", content=b" " * 20_000)).status_code == 413
    async with httpx.AsyncClient(base_url=served.url) as nobody:
        assert (await nobody.post("/v1/webhooks", content=b" " * 20_000)).status_code == 401


async def test_a_key_has_twenty_webhooks_at_most(fresh: Served) -> None:
    async with await fresh.client(*SCOPES) as client:
        numbers = [(await made(client))["webhook_id"] for _ in range(20)]
        refused = await client.post("/v1/webhooks", json=PARTNER)
        assert refused.status_code == 409
        assert refused.json()["type"] == "/problems/too-many-webhooks"
        await client.delete(f"/v1/webhooks/{numbers[0]}")
        await made(client)
