"""`python -m reporter` as people and schedulers start it."""

import asyncio
import email
import json
import os
import re
import signal
import socket
import subprocess
import sys
from datetime import UTC, date, datetime
from email.policy import default
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from pydantic import SecretStr

from demo.ports import LOCALHOST
from demo.processes import inherit_environment
from reporter.app import NotOverYet, draw, periods_asked_for
from reporter.errors import DatabaseAway
from reporter.settings import CountingSettings
from tests.integration.reporter.report_rows import ON, row_of, store_rides
from tests.roles import as_role
from tests.started import started

LONDON = ZoneInfo("Europe/London")
NAMES = ("DATABASE_URL", "MAIL_URL", "MAIL_FROM", "CEO_EMAIL", "OPERATIONS_EMAIL")
COMMAND = [sys.executable, "-m", "reporter"]


def environment(database_url: str, mail_url: str) -> dict[str, str]:
    return inherit_environment(
        DATABASE_URL=as_role(database_url, "reporter"),
        MAIL_URL=mail_url,
        MAIL_FROM="Deloton <hello@deloton.example>",
        CEO_EMAIL="ceo@deloton.example",
        OPERATIONS_EMAIL="operations@deloton.example",
        REPORT_BUCKET="",
    )


def run(
    *options: str, environment: dict[str, str], folder: Path
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *options],
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def subjects(mails: Path) -> list[str]:
    read = [email.message_from_bytes(each.read_bytes(), policy=default) for each in mails.iterdir()]
    return sorted(str(one["Subject"]) for one in read)


def test_a_dry_run_writes_the_pdf_and_nothing_else(database_url: str, tmp_path: Path) -> None:
    asyncio.run(store_rides(database_url))
    only_database = environment(database_url, "") | dict.fromkeys(NAMES[1:], "")
    done = run(
        "--date=2026-03-10", "--dry-run", "--out=report.pdf",
        environment={**os.environ, **only_database}, folder=tmp_path,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "report.pdf\n"), done.stderr
    assert (tmp_path / "report.pdf").read_bytes().startswith(b"%PDF-")
    assert asyncio.run(row_of(database_url)) is None


def test_missed_days_are_caught_up_with_once_each(database_url: str, tmp_path: Path) -> None:
    asyncio.run(store_rides(database_url, days=3))
    mails = tmp_path / "mails"
    ready = environment(database_url, mails.as_uri())
    first = run("--date=2026-03-09", environment=ready, folder=tmp_path)
    assert first.stdout == "daily report of 2026-03-09: sent\n", first.stderr
    done = run("--from=2026-03-08", "--to=2026-03-10", environment=ready, folder=tmp_path)
    assert done.stdout.splitlines() == [
        "daily report of 2026-03-08: sent",
        "daily report of 2026-03-09: already sent",
        "daily report of 2026-03-10: sent",
    ]
    assert [subject[:24] for subject in subjects(mails)] == [
        "Deloton, Monday 9 March ",
        "Deloton, Sunday 8 March ",
        "Deloton, Tuesday 10 Marc",
    ]


def test_cloudwatch_is_told_of_yesterdays_report_each_time_and_of_no_other(
    database_url: str, tmp_path: Path
) -> None:
    ready = environment(database_url, (tmp_path / "mails").as_uri())
    ready["CLOUDWATCH_NAMESPACE"] = "Deloton/test"
    runs = [("--date=2026-03-09",), (), ()]
    said = [run(*options, environment=ready, folder=tmp_path).stdout for options in runs]
    assert ["ReportsOut" in words for words in said] == [False, True, True]
    told = json.loads(said[-1].splitlines()[0])
    assert (told["Service"], told["ReportsOut"]) == ("reporter", 1)
    assert "already sent" in said[-1]


def test_a_run_killed_while_its_mail_is_on_the_way_is_not_repeated(
    database_url: str, tmp_path: Path
) -> None:
    with socket.create_server((LOCALHOST, 0)) as silent:
        ready = environment(database_url, f"smtp://{LOCALHOST}:{silent.getsockname()[1]}")
        with started(
            [*COMMAND, "--date=2026-03-10"], env=ready, cwd=tmp_path, stderr=subprocess.DEVNULL
        ) as sender:
            connection, _ = silent.accept()
            with connection:
                sender.send_signal(signal.SIGKILL)
                sender.wait()
    mails = tmp_path / "mails"
    ready = environment(database_url, mails.as_uri())
    refused = run("--date=2026-03-10", environment=ready, folder=tmp_path)
    assert refused.returncode == 1
    assert "may have arrived" in refused.stdout
    assert subjects(mails) == ["Deloton: the daily report of 2026-03-10 needs somebody"]
    forced = run("--date=2026-03-10", "--resend", environment=ready, folder=tmp_path)
    assert forced.stdout == "daily report of 2026-03-10: sent\n"


def test_all_missing_settings_are_named_at_once(tmp_path: Path) -> None:
    nothing = {**os.environ, **dict.fromkeys(NAMES, "")}
    done = run(environment=nothing, folder=tmp_path)
    assert done.returncode == 1
    assert all(name in done.stderr for name in NAMES)
    assert "Traceback" not in done.stderr


NOW = datetime(2026, 3, 11, 7, 0, tzinfo=UTC)


def test_without_a_date_it_is_yesterday_or_the_last_whole_week() -> None:
    [day] = periods_asked_for(LONDON, NOW)
    [week] = periods_asked_for(LONDON, NOW, weekly=True)
    assert (day.on, week.on, week.last_on) == (ON, date(2026, 3, 2), date(2026, 3, 8))


def test_days_from_one_to_another_hold_each_week_once() -> None:
    weeks = periods_asked_for(
        LONDON, NOW, first_on=date(2026, 2, 20), last_on=date(2026, 3, 8), weekly=True
    )
    assert [week.on for week in weeks] == [date(2026, 2, 16), date(2026, 2, 23), date(2026, 3, 2)]
    days = periods_asked_for(LONDON, NOW, first_on=date(2026, 3, 8))
    assert [day.on.day for day in days] == [8, 9, 10]


@pytest.mark.parametrize("on", [date(2026, 3, 11), date(2027, 1, 1), date.max])
def test_a_day_that_is_not_over_is_refused(on: date) -> None:
    with pytest.raises(NotOverYet, match="not over yet"):
        periods_asked_for(LONDON, NOW, on)


@pytest.mark.parametrize("weekly", [False, True])
@pytest.mark.parametrize("first_on", [date.min, date(1969, 12, 31)])
def test_a_day_before_all_bikes_is_refused(first_on: date, weekly: bool) -> None:
    with pytest.raises(ValueError, match="no reports of days before 1970"):
        periods_asked_for(LONDON, NOW, first_on, weekly=weekly)
    with pytest.raises(ValueError, match="no reports of days before 1970"):
        periods_asked_for(LONDON, NOW, first_on=first_on, weekly=weekly)


@pytest.mark.parametrize("on", ["0001-01-01", "9999-12-31"])
def test_the_ends_of_the_calendar_are_refused_in_a_sentence(on: str, tmp_path: Path) -> None:
    never_asked = environment("postgresql://deloton@127.0.0.1:1/deloton", tmp_path.as_uri())
    done = run(f"--date={on}", environment=never_asked, folder=tmp_path)
    assert (done.returncode, done.stderr.splitlines()) == (1, [done.stderr.strip()])
    assert done.stderr.startswith("reporter: ")
    assert on in done.stderr


def test_without_a_database_a_report_gives_up_and_says_what_was_tried(tmp_path: Path) -> None:
    settings = CountingSettings(database_url=SecretStr("postgresql://me:secret@127.0.0.1:1/rides"))
    with pytest.raises(DatabaseAway) as gave_up:
        asyncio.run(draw(settings, periods_asked_for(LONDON, NOW), tmp_path, patience_s=2))
    told = str(gave_up.value)
    assert re.fullmatch(
        r"no database at 127\.0\.0\.1:1/rides: "
        r"tried \d+ times within 2 s, at last ConnectionRefusedError",
        told,
    ), told


def test_a_password_that_is_refused_is_told_in_a_sentence(
    database_url: str, tmp_path: Path
) -> None:
    wrong = environment(database_url, tmp_path.as_uri())
    wrong["DATABASE_URL"] = re.sub(r":[^:@/]+@", ":wrong@", wrong["DATABASE_URL"])
    done = run("--dry-run", "--date=2026-03-10", environment=wrong, folder=tmp_path)
    assert done.returncode == 1
    assert "tried once" in done.stderr
    assert "InvalidPasswordError" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("on", "first_on", "last_on"),
    [(ON, ON, None), (None, None, ON), (None, ON, date(2026, 3, 9))],
)
def test_dates_that_cannot_be_meant_are_refused(
    on: date | None, first_on: date | None, last_on: date | None
) -> None:
    with pytest.raises(ValueError, match=r"day|date"):
        periods_asked_for(LONDON, NOW, on, first_on, last_on)
