"""The API as a process of its own on a real database, and rows for it to tell of."""

import re
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import httpx

from api.access.credentials import Scope, new_credential
from api.access.key_store import create_key
from api.store.database import Database
from deloton.store.tables import metadata
from demo.guardian import Guardian
from demo.ports import LOCALHOST, free_port
from demo.processes import Program, inherit_environment
from tests.roles import as_role

STARTS_WITHIN_S = 300.0
LINK_KEY, LINK_KEY_BEFORE = "k" * 32, "b" * 40
# These have one row from the beginning.
_OF_ONE_ROW = {"star_refreshes", "change_feed"}
_FILLED = [table.name for table in metadata.sorted_tables if table.name not in _OF_ONE_ROW]


class Served:
    """One API: where it is, its database, and clients with keys."""

    def __init__(self, url: str, database_url: str, program: Program) -> None:
        self.url = url
        self.database_url = database_url
        self.program = program
        self._keys: dict[frozenset[Scope], str] = {}

    async def make_key(
        self, *scopes: Scope, requests_per_minute: int = 1_000_000, sandbox: bool = False
    ) -> str:
        """A new key with these scopes."""
        return await make_key(
            self.database_url, *scopes, requests_per_minute=requests_per_minute, sandbox=sandbox
        )

    async def client(self, *scopes: Scope, **headers: str) -> httpx.AsyncClient:
        """A client with a key; all that may be read, unless scopes are given."""
        opened = frozenset(scopes or (Scope.READ,))
        if opened not in self._keys:
            self._keys[opened] = await self.make_key(*opened)
        authorization = {"Authorization": f"Bearer {self._keys[opened]}"}
        return httpx.AsyncClient(
            base_url=self.url, headers={**authorization, **headers}, timeout=300
        )

    async def begin_anew(self) -> None:
        """Leave nothing stored but the people and rides below."""
        await self.execute(f"TRUNCATE {', '.join(_FILLED)} RESTART IDENTITY")
        await self.execute("UPDATE change_feed SET last_change_id = 0, forgotten_until = 0")
        self._keys.clear()
        await store_small_company(self.database_url)

    async def execute(self, sql: str, *arguments: object) -> list[asyncpg.Record]:
        """Run one statement, or several without arguments."""
        connection = await asyncpg.connect(self.database_url)
        try:
            if arguments or "RETURNING" in sql or sql.lstrip().startswith("SELECT"):
                return list(await connection.fetch(sql, *arguments))
            await connection.execute(sql)
            return []
        finally:
            await connection.close()


async def make_key(
    database_url: str,
    *scopes: Scope,
    requests_per_minute: int = 1_000_000,
    sandbox: bool = False,
) -> str:
    """Store a new key and return it."""
    database = Database(database_url, connections=1, statement_timeout_s=300)
    credential = new_credential()
    try:
        await create_key(
            database,
            credential,
            name="test",
            scopes=scopes,
            requests_per_minute=requests_per_minute,
            sandbox=sandbox,
        )
    finally:
        await database.close()
    return credential.key


@contextmanager
def serve(guardian: Guardian, database_url: str, folder: Path, **names: str) -> Iterator[Served]:
    """Run `python -m api` on a free port until left."""
    port = free_port()
    program = Program(
        guardian,
        "api",
        [sys.executable, "-W", "error", "-m", "api"],
        folder / "api.log",
        environment=inherit_environment(
            DATABASE_URL=as_role(database_url, "api"),
            PORT=str(port),
            ALERT_LINK_KEYS=f"{LINK_KEY}, {LINK_KEY_BEFORE}",
            **names,
        ),
    )
    served = Served(f"http://{LOCALHOST}:{port}", database_url, program)
    program.start()
    try:
        wait_until_alive(served)
        yield served
    finally:
        program.stop()


def wait_until_alive(served: Served) -> None:
    """Return when the API answers."""
    deadline = time.monotonic() + STARTS_WITHIN_S
    while True:
        try:
            if httpx.get(f"{served.url}/health/live").is_success:
                return
        except httpx.TransportError:
            assert served.program.running, served.program.explain_end()
        assert time.monotonic() < deadline, served.program.explain_end()
        time.sleep(0.05)


# A small company: rides of 2026-03-02 (Europe/London) but where stated, each of 100 readings.
PEOPLE = """
INSERT INTO bikes VALUES ('SN1'), ('SN2');
INSERT INTO riders (
    rider_id, title, first_name, last_name, gender, born_on, email, height_cm, weight_kg,
    flat, street, town, postcode, seen_at
) VALUES
    (7001, 'Ms', 'Ada', 'Secretname', 'female', '1959-05-02', 'ada@secretmail.example', 171, 50,
     'Flat 9b', 'Secretstreet', 'Exampleton', 'SE4 4MP', '2026-03-02Z'),
    (7002, NULL, 'Bob', 'Secretname', 'male', '2000-01-01', 'bob@secretmail.example', 180, NULL,
     NULL, 'Secretstreet', 'Otherton', 'SE4 4MP', '2026-03-02Z'),
    (7003, NULL, NULL, NULL, 'other', NULL, NULL, NULL, NULL,
     NULL, NULL, NULL, NULL, '2026-03-02Z');
INSERT INTO rider_limits (rider_id, high_bpm) VALUES (7001, 150);
"""

RIDES = """
INSERT INTO rides (
    ride_id, rider_id, bike_serial, started_at, ended_at, end_reason, reading_count, duration_s,
    mean_heart_rate_bpm, max_heart_rate_bpm, heart_rate_count, mean_cadence_rpm, max_cadence_rpm,
    mean_power_watts, max_power_watts, total_power_watts, energy_kj, mean_resistance
)
SELECT ride_id, rider_id, bike, at, at + interval '100 s', 'silence', 100, 100,
       mean_bpm, 150, heart_rate_count, 60, 90, power, power, 100 * power, power / 10, 30
FROM (VALUES
    (4711, 7001, 'SN1', timestamptz '2026-03-02 09:00Z', 120.0, 90, 200.0),
    (4712, 7001, 'SN2', timestamptz '2026-03-02 10:00Z', 140.0, 10, 300.0),
    (4713, 7002, 'SN1', timestamptz '2026-03-02 11:00Z', NULL,   0, 250.0),
    (4714, 7003, 'SN1', timestamptz '2026-03-02 23:59Z', 130.0, 50, 100.0),
    (4715, NULL, 'SN1', timestamptz '2026-03-03 00:00Z', 130.0, 50, 900.0)
) AS told (ride_id, rider_id, bike, at, mean_bpm, heart_rate_count, power);
INSERT INTO rides (ride_id, rider_id, bike_serial, started_at)
VALUES (4716, 7002, 'SN2', '2026-03-04 09:00Z');
SELECT setval(pg_get_serial_sequence('rides', 'ride_id'), 10000);
INSERT INTO readings
SELECT ride_id, started_at + second * interval '1 s', second,
       CASE WHEN second > 10 THEN 120 END, 60, 30, coalesce(mean_power_watts, 80)
FROM rides, generate_series(1, 100) AS second;
INSERT INTO heart_rate_alerts (
    alert_id, ride_id, rider_id, level, measured_at, heart_rate_bpm, limit_bpm, limit_rule, state,
    settled_at
) VALUES
    (1, 4711, 7001, 'high', '2026-03-02 09:01Z', 149, 145.6, '90%', 'sent', now()),
    (2, 4711, 7001, 'critical', '2026-03-02 09:02Z', 165, 161.8, '100%', 'pending', NULL),
    (3, 4713, 7002, 'low', '2026-03-02 11:01Z', 45, 50, 'below 50', 'expired', now());
INSERT INTO heart_rate_recoveries (
    alert_id, level, measured_at, seen_at, heart_rate_bpm, state, settled_at
) VALUES (1, 'high', '2026-03-02 09:02:10Z', '2026-03-02 09:03:09Z', 118, 'sent', now());
"""

# A year counts where it is a number of its own: a measured 0.01959 tells of nobody.
PERSONAL = re.compile(
    r"[Ss]ecret|(?<![\d.])1959(?!\d)|2000-01-01|SE4|Exampleton|Flat 9b|Ada",
)


async def store_small_company(database_url: str) -> None:
    """Store the people and rides above."""
    connection = await asyncpg.connect(database_url)
    await connection.execute(PEOPLE + RIDES)
    await connection.close()


def written(parameters: Mapping[str, object]) -> dict[str, str]:
    """Parameters as an address holds them."""
    return {name: str(value) for name, value in parameters.items()}


async def ids_of(client: httpx.AsyncClient, path: str, **parameters: object) -> list[int]:
    """The numbers of the rides that a list holds, in its order."""
    answer = await client.get(path, params=written(parameters))
    assert answer.status_code == 200, answer.text
    return [ride["ride_id"] for ride in answer.json()["rides"]]
