"""`python -m deloton.analytics`: once, again and again, and the reader's password."""

import asyncio
import json
import signal
import subprocess
import sys

import asyncpg
import pytest

from demo.processes import inherit_environment
from tests.roles import as_role
from tests.started import started

COMMAND = [sys.executable, "-m", "deloton.analytics"]


def run(database_url: str, *words: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*COMMAND, *words],
        env=inherit_environment(DATABASE_URL=database_url, **environment),
        capture_output=True,
        text=True,
        check=False,
    )


async def refreshed_at(database_url: str) -> object:
    connection = await asyncpg.connect(database_url)
    moment: object = await connection.fetchval("SELECT refreshed_at FROM analytics.refreshes")
    await connection.close()
    return moment


A_RIDE = """
INSERT INTO bikes VALUES ('SN1');
INSERT INTO riders (rider_id, gender, born_on, weight_kg, seen_at)
VALUES (7001, 'female', '1959-03-01', 64, now());
INSERT INTO rides (rider_id, bike_serial, started_at, ended_at, end_reason, reading_count)
VALUES (7001, 'SN1', '2026-03-02 12:00Z', '2026-03-02 12:00:01Z', 'silence', 1);
INSERT INTO readings (ride_id, at, heart_rate_bpm) VALUES (1, '2026-03-02 12:00:01Z', 120);
"""


async def change(database_url: str, sql: str) -> None:
    connection = await asyncpg.connect(database_url)
    await connection.execute(sql)
    await connection.close()


def test_a_refresh_ends_and_says_what_it_did(database_url: str) -> None:
    url = as_role(database_url, "star_refresher")
    for sql, rides in (
        (A_RIDE, 1),
        ("UPDATE rides SET ended_at = NULL, end_reason = NULL", 1),
        ("DELETE FROM rides", 0),
    ):
        asyncio.run(change(database_url, sql))
        done = run(url, "refresh")
        told = json.loads(done.stderr.splitlines()[-1])
        assert (done.returncode, told["event"], told["rides"]) == (0, "star refreshed", rides)
    assert asyncio.run(refreshed_at(database_url)) is not None


def test_cloudwatch_is_told_of_each_refresh(database_url: str) -> None:
    url = as_role(database_url, "star_refresher")
    done = run(url, "refresh", CLOUDWATCH_NAMESPACE="Deloton/test")
    told = json.loads(done.stdout)
    assert (told["Service"], told["Refreshes"]) == ("analytics", 1)


def test_a_refresh_that_goes_on_ends_cleanly_when_asked_to(database_url: str) -> None:
    with started(
        [*COMMAND, "refresh", "--every", "0.1"],
        env=inherit_environment(DATABASE_URL=as_role(database_url, "star_refresher")),
        stderr=subprocess.PIPE,
    ) as program:
        moments = {asyncio.run(refreshed_at(database_url))}
        while len(moments) < 3:
            moments.add(asyncio.run(refreshed_at(database_url)))
        program.send_signal(signal.SIGTERM)
        assert program.wait() == 0


@pytest.mark.parametrize("word", ["refresh", "password"])
def test_all_that_is_missing_is_said_in_a_sentence(word: str) -> None:
    done = run("", word)
    assert done.returncode == 1
    assert "DATABASE_URL: Field required" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_password_must_be_given_and_then_opens(database_url: str) -> None:
    assert "TABLEAU_READER_PASSWORD: Field required" in run(database_url, "password").stderr
    done = run(database_url, "password", TABLEAU_READER_PASSWORD="s3cret")
    assert done.returncode == 0
    assert "s3cret" not in done.stderr
