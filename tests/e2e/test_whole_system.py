"""200 bikes through every service: what each of them shows is what the raw lines say.

The bikes ride for some minutes and stop all at once. When their rides are over nothing changes
any more, and everything that tells of the day must tell the same.
"""

import asyncio
import email
import json
import re
import signal
import urllib.request
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import asyncpg
import psutil
import pytest
from playwright.sync_api import expect
from pypdf import PdfReader

from deloton.rules.canary import CANARY_BIKE
from deloton.rules.sandbox import SANDBOX_BIKES
from deloton.showing.formats import duration, energy, number, power
from demo.ports import LOCALHOST
from demo.services import DEAD_LETTERS_TOPIC, RAW_TOPIC
from reporter.days import day_in
from reporter.delivery import Report, prepare
from tests.e2e.chromium import running_chromium, tile
from tests.e2e.exactness import raw_message
from tests.e2e.ingestor_site import Feed
from tests.e2e.started_demo import StartedDemo, free_ports
from tests.e2e.stored_rows import (
    Stored,
    dead_letters_due,
    dead_letters_sent,
    differences,
    read_rows,
    read_topic,
)
from tests.oracle.alerts import DueAlert, due_alerts, first_of_their_riders
from tests.oracle.day_totals import DayTotals, totals_of_rides
from tests.oracle.straightforward import Expected, RideKey, Row

LONDON = ZoneInfo("Europe/London")
FLEET = ("--bikes=200", "--since=8m", "--back-to-back", "--dangerous-share=0.25")
# By then riders who are met live have been mailed about every level; usually within one minute.
MAILED_WITHIN_S = 600
# A warning that comes later is of no use (ALERT_MAX_AGE_S).
OF_USE = timedelta(minutes=2)
# A mail that was due just before the bikes stopped, and the silence that ends their rides.
SETTLED_WITHIN_S = 300

pytestmark = [pytest.mark.system, pytest.mark.timeout(1200)]

# To riders who had not been told of the level, or of a more severe one, before.
_EVERY_LEVEL_IS_MAILED = """
SELECT count(DISTINCT level) = 3 FROM heart_rate_alerts AS alert
WHERE state = 'sent' AND measured_at > $1 AND NOT EXISTS (
    SELECT FROM heart_rate_alerts AS earlier
    WHERE earlier.rider_id = alert.rider_id AND earlier.measured_at < alert.measured_at
      AND earlier.level IN (alert.level, CASE alert.level WHEN 'high' THEN 'critical' END)
)
"""

_IS_SETTLED = """
SELECT NOT EXISTS (SELECT FROM rides WHERE ended_at IS NULL)
    AND NOT EXISTS (SELECT FROM heart_rate_alerts WHERE state IN ('pending', 'sending'))
    AND NOT EXISTS (SELECT FROM star_changes)
    AND EXISTS (SELECT FROM rides)
"""

_STAR_OF_A_DAY = """
SELECT count(*) AS ride_count,
       count(DISTINCT rider_key) AS rider_count,
       sum(duration_s) AS duration_s,
       sum(energy_kj) AS energy_kj,
       max(max_power_watts) AS max_power_watts,
       sum(mean_power_watts * reading_count)
           / sum(reading_count) FILTER (WHERE mean_power_watts IS NOT NULL) AS mean_power_watts,
       sum(mean_heart_rate_bpm * heart_rate_count)
           / sum(heart_rate_count) FILTER (WHERE mean_heart_rate_bpm IS NOT NULL)
           AS mean_heart_rate_bpm
FROM analytics.fact_rides WHERE started_on = $1
"""


@dataclass(frozen=True)
class Aftermath:
    """What is left when all bikes have stopped: the raw lines, and the system that read them."""

    demo: StartedDemo
    began_at: datetime
    database_url: str
    bootstrap_servers: str
    feed: Feed
    stored: Stored

    @property
    def expected(self) -> Expected:
        """The rows that the raw lines must have become."""
        return self.feed.after_silence

    @cached_property
    def ridden(self) -> dict[RideKey, Row]:
        """The rides of people: no figure tells of the canary's, nor of the sandbox's."""
        rides = self.expected.rides.items()
        return {
            key: row for key, row in rides if not key[0].startswith((CANARY_BIKE, SANDBOX_BIKES))
        }

    @cached_property
    def days(self) -> list[date]:
        """The company's days on which rides began: one, or two around midnight."""
        return sorted({started.astimezone(LONDON).date() for _, started in self.ridden})

    def totals_of(self, day: date) -> DayTotals:
        """What the rides of a day must add up to."""
        return totals_of_rides(
            row
            for (_, started), row in self.ridden.items()
            if started.astimezone(LONDON).date() == day
        )

    def fetch(self, query: str, *arguments: object) -> list[asyncpg.Record]:
        """The rows of one query."""
        return asyncio.run(fetch(self.database_url, query, *arguments))

    def ask_api(self, path: str) -> Any:  # noqa: ANN401 - JSON
        """What the API answers to the key that the demo printed."""
        found = re.search(r'-H "Authorization: Bearer (\S+)"', self.demo.output)
        assert found
        request = urllib.request.Request(
            f"http://{LOCALHOST}:{self.demo.ports['DEMO_API_PORT']}{path}",
            headers={"Authorization": f"Bearer {found[1]}"},
        )
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)


async def fetch(database_url: str, query: str, *arguments: object) -> list[asyncpg.Record]:
    database = await asyncpg.connect(database_url)
    try:
        return list(await database.fetch(query, *arguments))
    finally:
        await database.close()


@pytest.fixture(scope="module")
def aftermath(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aftermath]:
    began_at = datetime.now(UTC)
    demo = StartedDemo(tmp_path_factory.mktemp("demo"), free_ports(), FLEET)
    riding: list[psutil.Process] = []
    try:
        demo.wait_for(lambda: any(s.riding > 150 and s.lag_lines < 2_000 for s in demo.figures()))
        database_url = address_of_database(demo)
        demo.wait_for(
            lambda: asyncio.run(fetch(database_url, _EVERY_LEVEL_IS_MAILED, began_at))[0][0],
            MAILED_WITHIN_S,
        )
        riding = [*demo.processes_of("bike_simulator"), demo.process_of("deloton.canary")]
        for program in riding:
            program.suspend()
        yield asyncio.run(wait_and_read(demo, began_at))
        for program in riding:
            program.resume()
        assert demo.end(signal.SIGINT) == 0
        assert demo.leftovers() == []
    finally:
        for program in riding:
            if program.is_running():
                program.resume()
        demo.process.kill()
        demo.process.wait()


async def wait_and_read(demo: StartedDemo, began_at: datetime) -> Aftermath:
    """Return once nothing changes any more."""
    database_url = address_of_database(demo)
    servers = f"{LOCALHOST}:{demo.ports['DEMO_KAFKA_PORT']}"
    async with asyncio.timeout(SETTLED_WITHIN_S):
        while not (await fetch(database_url, _IS_SETTLED))[0][0]:
            await asyncio.sleep(0.5)
    records = await read_topic(servers, RAW_TOPIC)
    feed = Feed([raw_message(record) for record in records])
    return Aftermath(demo, began_at, database_url, servers, feed, await read_rows(database_url))


def address_of_database(demo: StartedDemo) -> str:
    """The address that the demo has printed."""
    found = re.search(r"postgresql://\S+", demo.output)
    assert found
    return found[0]


def test_every_row_is_what_the_raw_lines_say(aftermath: Aftermath) -> None:
    expected, found = aftermath.expected, aftermath.stored
    assert len(expected.rides) > 200
    assert differences(expected.riders, found.riders) == []
    assert differences(expected.bikes, found.bikes) == []
    assert differences(expected.rides, found.rides) == []
    assert differences(expected.readings, found.readings) == []


def test_every_refused_line_is_a_dead_letter(aftermath: Aftermath) -> None:
    letters = asyncio.run(read_topic(aftermath.bootstrap_servers, DEAD_LETTERS_TOPIC))
    due = dead_letters_due(aftermath.feed, aftermath.expected, RAW_TOPIC)
    assert due
    assert differences(due, dead_letters_sent(letters)) == []


def test_each_episode_is_an_alert_and_each_alert_one_mail(aftermath: Aftermath) -> None:
    rows = aftermath.fetch("SELECT * FROM heart_rate_alerts")
    keys = {ride_id: key for key, ride_id in aftermath.stored.ride_ids.items()}
    alerts = {(keys[row["ride_id"]], row["level"]): row for row in rows}
    due = due_alerts(aftermath.expected, LONDON)
    # What was measured before the demo began, or long before a busy machine came to it, may have
    # come too late to be mailed. Of a heart that had been critical then and came down to high while
    # a mail was of use, high is told.
    came_down = {
        alert._replace(level="high")
        for alert in due
        if alert.level == "critical" and state_of(alerts, alert) == "expired"
    }
    assert alerts.keys() <= {(alert.ride, alert.level) for alert in {*due, *came_down}}
    told = {alert.rider_id for alert in came_down}
    fresh = {
        alert
        for alert in first_of_their_riders(due)
        if alert.measured_at > aftermath.began_at
        and not (alert.level == "high" and alert.rider_id in told)
    }
    assert {alert.level for alert in fresh} == {"critical", "high", "low"}
    for alert in fresh:
        row = alerts[alert.ride, alert.level]
        if alert.rider_id is None or not aftermath.expected.riders[alert.rider_id]["email"]:
            assert row["state"] == "undeliverable"
        elif row["state"] == "expired":
            assert row["settled_at"] - (row["seen_at"] or row["measured_at"]) > OF_USE
        else:
            assert (row["state"], row["measured_at"]) == ("sent", alert.measured_at)
    sent = {row["alert_id"] for row in rows if row["state"] == "sent"}
    assert mails_by_alert(aftermath.demo.folder / "mails") == dict.fromkeys(sent, 1)


def state_of(alerts: dict[tuple[RideKey, str], asyncpg.Record], alert: DueAlert) -> str | None:
    """What became of an alert; None where there is none."""
    row = alerts.get((alert.ride, alert.level))
    return row["state"] if row else None


def mails_by_alert(folder: Path) -> Counter[int]:
    """How many mails came about each alert."""
    ids = [email.message_from_bytes(m.read_bytes())["Message-ID"] for m in folder.glob("*.eml")]
    found = [re.match(r"<heart-rate-alert-(\d+)@", message_id) for message_id in ids]
    return Counter(int(match[1]) for match in found if match)


def test_api_report_and_star_tell_the_same_of_the_day(aftermath: Aftermath) -> None:
    for day in aftermath.days:
        expected = aftermath.totals_of(day)._asdict()
        told = {
            "api": aftermath.ask_api(f"/v1/daily?date={day}"),
            "star": dict(aftermath.fetch(_STAR_OF_A_DAY, day)[0]),
            "report": figures_of(asyncio.run(drawn_report(aftermath.database_url, day))),
        }
        for who, figures in told.items():
            shared = expected.keys() & figures.keys()
            assert len(shared) >= 7, who
            for name in shared:
                assert figures[name] == pytest.approx(expected[name], rel=1e-9), (who, name)


async def drawn_report(database_url: str, day: date) -> Report:
    """The report of a day that need not be over."""
    connection = await asyncpg.connect(database_url)
    await connection.execute("SET ROLE reporter")
    try:
        return await prepare(connection, day_in(LONDON, day))
    finally:
        await connection.close()


def figures_of(report: Report) -> dict[str, float | None]:
    """A report's figures by the names that the API has for them."""
    totals = report.summary.totals
    return {
        "ride_count": totals.rides,
        "rider_count": totals.riders,
        "duration_s": totals.ride_time_s,
        "energy_kj": totals.energy_kj,
        "total_power_watts": totals.total_power_watts,
        "mean_power_watts": totals.mean_power_watts,
        "mean_heart_rate_bpm": totals.mean_heart_rate_bpm,
    }


def test_the_pages_show_the_same_to_the_last_digit(aftermath: Aftermath) -> None:
    totals = totals_of_rides(aftermath.ridden.values())
    pages = {
        "recent": {
            "Rides": number(totals.ride_count),
            "Riders": number(totals.rider_count),
            "Time ridden": duration(totals.duration_s),
            "Total power": power(totals.total_power_watts),
            "Mean power": power(totals.mean_power_watts),
        },
        "all_time": {
            "Rides": number(totals.ride_count),
            "Riders": number(totals.rider_count),
            "Time ridden": duration(totals.duration_s),
            "Energy": energy(totals.energy_kj),
            "Highest power": power(totals.max_power_watts),
        },
    }
    address = f"http://{LOCALHOST}:{aftermath.demo.ports['DEMO_DASHBOARD_PORT']}"
    with running_chromium() as chromium:
        for path, shown in pages.items():
            page = chromium.new_page()
            page.goto(f"{address}/{path}", timeout=240_000)
            for label, figure in shown.items():
                expect(tile(page, label)).to_have_text(figure, timeout=240_000)


def test_the_report_tells_the_same_to_the_last_digit(aftermath: Aftermath) -> None:
    for day in aftermath.days:
        totals = aftermath.totals_of(day)
        pdf = asyncio.run(drawn_report(aftermath.database_url, day)).pdf
        told = " ".join(" ".join(p.extract_text() for p in PdfReader(BytesIO(pdf)).pages).split())
        for label, figure in {
            "Rides": number(totals.ride_count),
            "Time ridden": duration(totals.duration_s),
            "Total power": power(totals.total_power_watts),
            "Mean power": power(totals.mean_power_watts),
            "Energy": energy(totals.energy_kj),
            "Mean heart rate": number(totals.mean_heart_rate_bpm, "bpm"),
        }.items():
            assert figure in told, (label, figure)


def test_no_log_names_a_rider(aftermath: Aftermath) -> None:
    logs = {path: path.read_text(errors="replace") for path in log_files(aftermath.demo.folder)}
    personal = {
        word
        for rider in aftermath.expected.riders.values()
        for word in (
            f"{rider['first_name']} {rider['last_name']}",
            rider["email"],
            rider["street"],
            rider["postcode"],
        )
        if word
    }
    assert len(personal) > 500
    assert len(logs) > 8
    found = [(path.name, word) for path, text in logs.items() for word in personal if word in text]
    assert found == []


def test_no_log_tells_of_an_error(aftermath: Aftermath) -> None:
    lines = [
        f"{path.name}: {line}"
        for path in log_files(aftermath.demo.folder)
        for line in path.read_text(errors="replace").splitlines()
        if re.search(r'"level": ?"(error|critical)"|Traceback|\b(ERROR|FATAL|PANIC):', line)
    ]
    assert lines == []


def log_files(folder: Path) -> list[Path]:
    return sorted((folder / "logs").glob("*.log"))
