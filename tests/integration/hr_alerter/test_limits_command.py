"""`python -m hr_alerter.limits` as a person uses it."""

import subprocess
import sys
from collections.abc import Callable

import asyncpg
import pytest

from demo.processes import inherit_environment
from tests.integration.hr_alerter.alerter_site import BORN_ON
from tests.roles import as_role

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def command(database_url: str) -> Command:
    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "hr_alerter.limits", *words],
            env=inherit_environment(DATABASE_URL=as_role(database_url, "hr_alerter")),
            capture_output=True,
            text=True,
            check=False,
        )

    return run


async def a_rider(pool: asyncpg.Pool) -> None:
    insert = (
        "INSERT INTO riders (rider_id, gender, born_on, seen_at) VALUES (7001, 'female', $1, now())"
    )
    await pool.execute(insert, BORN_ON)


async def test_limits_are_shown_set_and_cleared(pool: asyncpg.Pool, command: Command) -> None:
    await a_rider(pool)
    assert "expected at the age of 6" in command("show", "7001").stdout
    shown = command("set", "7001", "--high", "130", "--critical", "150").stdout
    assert "high        130 bpm  your own limit" in shown
    assert "low          50 bpm  the same for every rider" in shown
    assert "low          45 bpm  your own limit" in command("set", "7001", "--low", "45").stdout
    [row] = await pool.fetch("SELECT low_bpm, high_bpm, critical_bpm FROM rider_limits")
    assert tuple(row) == (45, 130, 150)
    assert "expected at the age of 6" in command("clear", "7001").stdout
    assert await pool.fetchval("SELECT count(*) FROM rider_limits") == 0


async def test_alerts_are_switched_off_and_on(pool: asyncpg.Pool, command: Command) -> None:
    await a_rider(pool)
    assert command("off", "7001").stdout.startswith("Rider 7001: alerts are OFF\n")
    assert command("on", "7001").stdout.startswith("Rider 7001: alerts are on\n")


async def test_what_cannot_be_meant_is_a_sentence(pool: asyncpg.Pool, command: Command) -> None:
    await a_rider(pool)
    for words, sentence in (
        (("set", "7001", "--high", "150", "--critical", "140"), "Limits must be in this order"),
        (("set", "7001"), "Nothing to set"),
        (("set", "1", "--high", "150"), "There is no rider 1."),
        (("show", "1"), "There is no rider 1."),
        (("off", "1"), "There is no rider 1."),
    ):
        done = command(*words)
        assert done.returncode == 1
        assert done.stderr.startswith(sentence)
