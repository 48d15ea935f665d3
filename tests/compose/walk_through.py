"""A walk through the whole system in containers: `make test-compose`.

Starts what docker-compose.yml says, looks for what came of the bikes' lines at each end, kills each
service in turn, redeploys two while the others go on, and computes at last what all lines that
were ever sent must have become. Run by its path alone: it takes the machine's Docker engine and
some minutes. Kafka is not killed: its stand-in has no disk.
"""

import asyncio
import json
import re
import subprocess
import uuid
from collections import Counter
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from playwright.sync_api import sync_playwright

from tests.compose.composed_system import (
    REPOSITORY,
    address,
    compose,
    container,
    crash,
    database_url,
    eventually,
    is_well,
    number,
    page,
    rows,
)
from tests.compose.raw_topic import read_raw_topic
from tests.deploy.test_compose_files import panels
from tests.e2e.ingestor_site import Feed
from tests.e2e.stored_rows import differences, read_rows
from tests.oracle.straightforward import RideKey

pytestmark = pytest.mark.timeout(900)

OURS = (
    "ingestor", "hr-alerter", "canary", "api", "webhooks", "dashboard", "reporter", "analytics",
    "bike-simulator", "sandbox-fleet",
)  # fmt: skip
SCRAPED = ("ingestor", "hr-alerter", "canary", "api", "webhooks", "dashboard")
READINGS = "SELECT count(*) FROM ride_readings"
SENT_ALERTS = "SELECT count(*) FROM heart_rate_alerts WHERE state = 'sent'"
# About alerts, and that they are over.
SENT_MAILS = (
    f"SELECT ({SENT_ALERTS}) + (SELECT count(*) FROM heart_rate_recoveries WHERE state = 'sent')"
)
OPEN_MAILS = """
SELECT count(*) FROM (
    SELECT state FROM heart_rate_alerts UNION ALL SELECT state FROM heart_rate_recoveries
) AS mails WHERE state IN ('pending', 'sending')
"""
REFRESHED = "SELECT count(*) FROM star_refreshes"
OFFSETS = "SELECT partition, next_offset FROM ingest_offsets WHERE next_offset > 0"


@pytest.fixture(scope="module", autouse=True)
def system() -> Iterator[None]:
    """The whole system, from images built of what lies here, with data of its own."""
    try:
        compose("up", "--build", "--detach", "--wait")
        compose("--profile", "monitoring", "up", "--build", "--detach", "--wait", "prometheus")
        yield
    finally:
        compose("--profile", "*", "down", "--volumes", "--remove-orphans")


def rows_go_on() -> None:
    """Wait until more readings are stored than now."""
    stored = number(READINGS)
    eventually(lambda: number(READINGS) > stored)


def mails() -> Counter[str]:
    """How many mails each address got."""
    told = json.loads(page(f"{address('mail')}/api/v1/messages?limit=5000"))["messages"]
    return Counter(each["Address"] for mail in told for each in mail["To"])


def test_the_file_is_valid_with_every_profile() -> None:
    compose("--profile", "*", "config", "--quiet")


def test_lines_become_rows() -> None:
    eventually(lambda: number(READINGS) > 100)


def test_the_api_tells_the_rides() -> None:
    made = compose(
        "exec", "-T", "api", *("python", "-m", "api.keys", "create"),
        *("--name", f"walk-{uuid.uuid4().hex[:6]}", "--scopes", "read"),
    )  # fmt: skip
    said = page(f"{address('api')}/v1/rides?limit=3", Authorization=f"Bearer {made.strip()}")
    assert len(json.loads(said)["rides"]) == 3


@pytest.mark.timeout(120)
def test_the_dashboard_shows_how_many_ride() -> None:
    found = subprocess.check_output([REPOSITORY / "tools" / "setup-chromium"], text=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=found.strip(), args=["--no-sandbox", "--disable-gpu"]
        )
        shown = browser.new_page()
        shown.goto(address("dashboard"))
        text = ""
        while not re.search(r"(?i)riding now\D+[1-9]", text):
            shown.wait_for_timeout(1_000)
            text = shown.inner_text("body")
        browser.close()


def test_the_report_is_mailed_and_archived_once() -> None:
    eventually(lambda: number("SELECT count(*) FROM reports WHERE archived_at IS NOT NULL") == 1)
    assert mails()["ceo@deloton.example"] == 1


def test_the_analysts_star_is_kept_up_to_date() -> None:
    eventually(lambda: number(f"{REFRESHED} WHERE refreshed_at IS NOT NULL") == 1)
    eventually(lambda: number(f"{REFRESHED} WHERE refreshed_at > now() - interval '5 s'") == 1)


def test_an_alert_reaches_an_inbox() -> None:
    eventually(lambda: number(SENT_ALERTS) > 0, 420)
    assert mails().keys() - {"ceo@deloton.example", "operations@deloton.example"}


def test_prometheus_reaches_every_service_and_answers_every_question_of_grafana() -> None:
    def ask(expression: str) -> list[dict[str, object]]:
        url = f"{address('prometheus')}/api/v1/query?query={quote(expression)}"
        found: list[dict[str, object]] = json.loads(page(url))["data"]["result"]
        return found

    eventually(lambda: len(ask("up == 1")) == len(SCRAPED))
    for _, expression in panels():
        # What has not happened yet has no series of its own.
        eventually(lambda: bool(ask(expression) or re.search(r"by \((what|reason)", expression)))  # noqa: B023


def test_the_canarys_mail_comes_and_no_alarm_of_it_stands() -> None:
    def told(what: str) -> dict[str, list[dict[str, Any]]]:
        answer: dict[str, Any] = json.loads(page(f"{address('prometheus')}/api/v1/{what}"))
        data: dict[str, list[dict[str, Any]]] = answer["data"]
        return data

    came = 'canary_beats_total{end="mail"}'
    eventually(lambda: came in page(f"{address('canary')}/metrics"), 420)
    assert {rule["health"] for rule in told("rules")["groups"][0]["rules"]} == {"ok"}
    standing = {alert["labels"]["alertname"] for alert in told("alerts")["alerts"]}
    assert not standing & {"CanarySilent", "CanarySlow"}


@pytest.mark.parametrize("service", OURS)
def test_a_service_that_crashes_comes_back_and_the_rows_go_on(service: str) -> None:
    before = container(service)["RestartCount"]
    crash(service)
    eventually(lambda: container(service)["RestartCount"] > before)
    eventually(lambda: is_well(service))
    rows_go_on()


def test_a_database_that_is_killed_and_started_again_is_waited_for() -> None:
    compose("kill", "postgres")
    compose("start", "postgres")
    eventually(lambda: is_well("postgres"))
    rows_go_on()
    assert all(is_well(service) for service in OURS)


@pytest.mark.parametrize("service", ["api", "ingestor"])
def test_one_service_is_rebuilt_and_redeployed_while_the_others_go_on(service: str) -> None:
    others = {name: started(name) for name in OURS if name != service}
    before = container(service)["Image"]
    compose("build", "--build-arg", f"REVISION={uuid.uuid4().hex[:12]}", service)
    compose("up", "--detach", "--no-deps", "--wait", service)
    assert container(service)["Image"] != before
    assert {name: started(name) for name in others} == others
    rows_go_on()


def started(service: str) -> tuple[str, str]:
    """Which container it is, and since when it runs."""
    known = container(service)
    return known["Id"], known["State"]["StartedAt"]


def test_after_all_this_no_line_was_lost_and_no_row_is_there_twice() -> None:
    compose("stop", "bike-simulator", "sandbox-fleet", "canary")
    feed = Feed(read_raw_topic())
    ends = Counter(message.partition for message in feed.messages)
    eventually(lambda: {row["partition"]: row["next_offset"] for row in rows(OFFSETS)} == ends)
    eventually(lambda: number("SELECT count(*) FROM rides WHERE ended_at IS NULL") == 0)
    stored = asyncio.run(read_rows(database_url()))
    expected = feed.after_silence
    for key in rides_before_an_announcement(feed):
        expected.rides[key]["end_reason"] = stored.rides[key]["end_reason"]
    assert len(stored.rides) > len(OURS)
    for kind in ("riders", "bikes", "rides", "readings"):
        found = differences(getattr(expected, kind), getattr(stored, kind))
        assert not found, f"{kind}: " + "\n".join(found)


def rides_before_an_announcement(feed: Feed) -> set[RideKey]:
    """The last rides of bikes that announced a next one and then fell silent.

    Markers bear no time: whether it was announced within the half minute cannot be told.
    """
    announced = {
        (key or b"").decode()
        for (_, key), lines in feed.streams.items()
        if [line.kind for _, line in lines if line][-1:] == ["announcement"]
    }
    last: dict[str, RideKey] = {}
    for serial, started_at in sorted(feed.after_silence.rides):
        last[serial] = serial, started_at
    return {last[serial] for serial in announced & last.keys()}


def test_no_alert_was_lost_and_none_was_mailed_more_often_than_there_were_crashes() -> None:
    eventually(lambda: number(OPEN_MAILS) == 0)
    riders = mails()
    reports = riders.pop("ceo@deloton.example")
    assert (reports, riders.pop("operations@deloton.example", 0)) == (1, 0)
    assert number(SENT_MAILS) <= riders.total() <= number(SENT_MAILS) + 1
