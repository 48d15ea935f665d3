"""Exports of a person that are made in the background: made once, opened for a while, removed."""

import asyncio
import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest

from api.access.credentials import Scope
from api.settings import ApiSettings
from api.store.database import Database
from api.store.export_rows import MOST_ATTEMPTS, MOST_EXPORTS, Hand
from deloton.errors import SettingsError
from demo.embedded_postgres import EmbeddedPostgres
from demo.guardian import Guardian
from tests.conftest import unique
from tests.integration.api.served import Served, serve, store_small_company
from tests.moto_server import running_moto

ALL_OF_PERSONS = (Scope.READ, Scope.PERSONAL, Scope.ERASE)
LEASE_IS_OVER = "UPDATE exports SET owned_until = now() - interval '1 s'"

HOW_IT_ENDED = "SELECT export_id, state, attempts FROM exports ORDER BY export_id"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the files lie."""
    return tmp_path / "exports"


@pytest.fixture
def exporting(
    guardian: Guardian,
    postgres: EmbeddedPostgres,
    migrated_template: str,
    tmp_path: Path,
    folder: Path,
) -> Iterator[Served]:
    """An API that keeps files in a folder."""
    name = unique("exports")
    database_url = postgres.create_database(name, template=migrated_template)
    asyncio.run(store_small_company(database_url))
    with serve(guardian, database_url, tmp_path, EXPORT_STORE=folder.as_uri()) as served:
        yield served
    postgres.drop_database(name)


async def until(client: httpx.AsyncClient, address: str, state: str) -> dict[str, Any]:
    """What is told of an export once it is in that state."""
    while (told := (await client.get(address)).json())["state"] != state:
        assert told["state"] in {"queued", "running", "ready"}, told
        await asyncio.sleep(0.1)
    return dict(told)


async def test_an_export_is_made_in_the_background_and_is_the_same(exporting: Served) -> None:
    async with await exporting.client(*ALL_OF_PERSONS) as client:
        begun = await client.post("/v1/riders/7001/exports", params={"reason": "asked by letter"})
        assert begun.status_code == 202, begun.text
        ready = await until(client, begun.headers["location"], "ready")
        again = await client.post("/v1/riders/7001/exports")
        at_once = (await client.get("/v1/riders/7001/export")).json()
        status = await client.get(begun.headers["location"])
    async with httpx.AsyncClient(base_url=exporting.url, timeout=300) as anybody:
        file = await anybody.get(ready["url"])
        forged = await anybody.get(ready["url"][:-1] + ("0" if ready["url"][-1] != "0" else "1"))
        unsigned = await anybody.get(ready["url"].partition("?")[0])
    made = json.loads(gzip.decompress(file.content))
    assert (begun.status_code, again.status_code) == (202, 202)
    assert again.json()["export_id"] == begun.json()["export_id"]
    assert status.headers["cache-control"] == "no-store"
    assert len(file.content) == ready["size_bytes"]
    assert made["rides"] == at_once["rides"]
    assert made["rider"] == at_once["rider"]
    assert made["audit"][0]["reason"] == "asked by letter"
    assert (forged.status_code, unsigned.status_code) == (404, 422)


async def test_an_export_is_told_to_the_key_alone_that_asked(exporting: Served) -> None:
    async with (
        await exporting.client(*ALL_OF_PERSONS) as client,
        await exporting.client(Scope.READ, Scope.PERSONAL) as other,
        await exporting.client(Scope.READ) as reader,
    ):
        address = (await client.post("/v1/riders/7001/exports")).headers["location"]
        statuses = [
            (await asked).status_code
            for asked in (
                other.get(address),
                reader.get(address),
                reader.post("/v1/riders/7001/exports"),
                client.post("/v1/riders/999999/exports"),
            )
        ]
    assert statuses == [404, 403, 403, 404]


async def test_a_large_export_is_not_answered_at_once(exporting: Served) -> None:
    await exporting.execute(
        "INSERT INTO rides (rider_id, bike_serial, started_at)"
        " SELECT 7002, 'SN1', '2026-01-01Z'::timestamptz + n * interval '1 h'"
        " FROM generate_series(1, 201) n"
    )
    async with await exporting.client(*ALL_OF_PERSONS) as client:
        begun = await client.get("/v1/riders/7002/export")
        ready = await until(client, begun.headers["location"], "ready")
        made = json.loads(gzip.decompress((await client.get(ready["url"])).content))
    assert begun.status_code == 202
    assert len(made["rides"]) == 201 + 2


async def test_an_erasure_takes_the_file_with_it(exporting: Served, folder: Path) -> None:
    async with await exporting.client(*ALL_OF_PERSONS) as client:
        address = (await client.post("/v1/riders/7001/exports")).headers["location"]
        ready = await until(client, address, "ready")
        assert len(list(folder.iterdir())) == 1
        assert (await client.delete("/v1/riders/7001")).status_code == 204
        opened = await client.get(ready["url"])
        expired = await until(client, address, "expired")
    assert opened.status_code == 404
    assert expired["url"] is None
    while list(folder.iterdir()):
        await asyncio.sleep(0.1)


async def test_an_export_expires_and_its_file_is_removed(exporting: Served, folder: Path) -> None:
    async with await exporting.client(*ALL_OF_PERSONS) as client:
        address = (await client.post("/v1/riders/7001/exports")).headers["location"]
        ready = await until(client, address, "ready")
        await exporting.execute("UPDATE exports SET expires_at = now()")
        assert (await client.get(ready["url"])).status_code == 404
        # Whoever asks for something wakes it; else it looks every few seconds.
        await client.post("/v1/riders/7002/exports")
        await until(client, address, "expired")
        while {path.name for path in folder.iterdir()} != {"export-2-1.json.gz"}:
            await asyncio.sleep(0.1)
        anew = await client.post("/v1/riders/7001/exports")
    assert anew.json()["export_id"] == 3


async def test_what_a_dead_process_had_in_hand_another_makes(
    exporting: Served, guardian: Guardian, tmp_path: Path, folder: Path
) -> None:
    database = Database(exporting.database_url, connections=1, statement_timeout_s=300)
    dead = Hand(database)
    key = await exporting.make_key(*ALL_OF_PERSONS)
    exporting.program.stop()
    await exporting.execute(
        "INSERT INTO exports (key_id, rider_id, secret) SELECT key_id, 7001, 'x' FROM api_keys"
    )
    row = await dead.claim()
    assert row is not None
    await exporting.execute(LEASE_IS_OVER)
    url, again = exporting.database_url, tmp_path / "again"
    again.mkdir()
    with serve(guardian, url, again, EXPORT_STORE=folder.as_uri()) as served:
        headers = {"Authorization": f"Bearer {key}"}
        async with httpx.AsyncClient(base_url=served.url, headers=headers, timeout=300) as client:
            await until(client, f"/v1/exports/{row['export_id']}", "ready")
    # Who comes back from the dead finds that it is no more theirs.
    assert not await dead.renew(row["export_id"])
    assert not await dead.finish(row["export_id"], 1)
    await database.close()
    assert [path.name for path in folder.iterdir()] == ["export-1-2.json.gz"]


async def test_an_export_that_fails_as_nobody_foresaw_fails_after_three_tries_and_ends_nothing(
    exporting: Served,
) -> None:
    await exporting.execute("REVOKE SELECT ON refused_addresses FROM api")
    async with await exporting.client(*ALL_OF_PERSONS) as client:
        address = (await client.post("/v1/riders/7001/exports")).headers["location"]
        await until(client, address, "failed")
        await exporting.execute("GRANT SELECT ON refused_addresses TO api")
        after = (await client.post("/v1/riders/7002/exports")).headers["location"]
        await until(client, after, "ready")
    assert exporting.program.running
    ended = [tuple(row) for row in await exporting.execute(HOW_IT_ENDED)]
    assert ended == [(1, "failed", 3), (2, "ready", 1)]


@pytest.mark.parametrize("state", ["running", "queued"])
async def test_an_export_whose_makers_have_all_died_has_failed(
    exporting: Served, state: str
) -> None:
    async with await exporting.client(*ALL_OF_PERSONS) as client:
        await exporting.execute(
            "INSERT INTO exports (key_id, rider_id, secret, attempts, state, owner, owned_until)"
            f" SELECT key_id, 7001, 'x', {MOST_ATTEMPTS}, state, owner, until FROM api_keys JOIN"
            " (VALUES ('queued', NULL, NULL), ('running', 'dead', now() - interval '1 s'))"
            f" AS of (state, owner, until) ON state = '{state}'"
        )
        await client.post("/v1/riders/7002/exports")
        await until(client, "/v1/exports/1", "failed")
    ended = await exporting.execute(HOW_IT_ENDED)
    assert tuple(ended[0]) == (1, "failed", MOST_ATTEMPTS)


async def test_a_key_may_have_so_many_exports(exporting: Served) -> None:
    async with await exporting.client(*ALL_OF_PERSONS) as client:
        await exporting.execute(
            "INSERT INTO exports (key_id, rider_id, secret, state, expires_at)"
            " SELECT key_id, n, 'x', 'ready', now() + interval '1 h' FROM api_keys,"
            f" generate_series(1, {MOST_EXPORTS}) n"
        )
        refused = await client.post("/v1/riders/7001/exports")
    assert refused.status_code == 429
    assert refused.json()["type"] == "/problems/too-many-open"


async def test_without_a_place_for_files_nothing_is_made_in_the_background(served: Served) -> None:
    async with await served.client(*ALL_OF_PERSONS) as client:
        refused = await client.post("/v1/riders/7001/exports")
    assert refused.status_code == 501
    assert refused.json()["type"] == "/problems/no-export-store"


async def test_files_in_a_bucket_are_opened_by_a_signed_address_and_removed(
    guardian: Guardian, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store_small_company(database_url)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with running_moto() as moto:
        s3: Any = boto3.session.Session().client("s3", region_name="eu-west-2", endpoint_url=moto)
        s3.create_bucket(
            Bucket="exports", CreateBucketConfiguration={"LocationConstraint": "eu-west-2"}
        )
        names = {"EXPORT_STORE": "s3://exports", "AWS_ENDPOINT_URL": moto}
        with serve(guardian, database_url, tmp_path, **names) as served:
            async with await served.client(*ALL_OF_PERSONS) as client:
                address = (await client.post("/v1/riders/7001/exports")).headers["location"]
                ready = await until(client, address, "ready")
                async with httpx.AsyncClient(timeout=300) as anybody:
                    file = await anybody.get(ready["url"])
                await client.delete("/v1/riders/7001")
                await until(client, address, "expired")
                while s3.list_objects_v2(Bucket="exports").get("Contents"):
                    await asyncio.sleep(0.1)
    assert "X-Amz-Signature=" in ready["url"]
    assert "X-Amz-Expires=900" in ready["url"]
    assert json.loads(gzip.decompress(file.content))["rider"]["rider_id"] == 7001


@pytest.mark.parametrize("store", ["s3://", "s3://bucket/prefix", "file://folder", "exports", "/a"])
def test_a_place_that_cannot_be_meant_is_refused_at_the_start(
    store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody.invalid/none")
    monkeypatch.setenv("EXPORT_STORE", store)
    with pytest.raises(SettingsError, match="EXPORT_STORE: must be like"):
        ApiSettings.from_environment()


async def test_an_address_that_is_not_ours_opens_nothing_whatever_it_says(
    exporting: Served,
) -> None:
    async with await exporting.client(*ALL_OF_PERSONS) as client:
        begun = await client.post("/v1/riders/7001/exports")
        ready = await until(client, begun.headers["Location"], "ready")
        for signature in ("", "x", "%C3%A9", "%00"):
            address = f"/downloads/{ready['export_id']}?until=9999999999&signature={signature}"
            assert (await client.get(address)).status_code == 404, signature
