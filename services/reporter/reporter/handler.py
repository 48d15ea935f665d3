"""SHELL: the same reports as an AWS Lambda function: `reporter.handler.handle`.

The event may name `date`, or `from` and `to`, as ISO days, and `week` and `resend` as booleans;
any other event, as EventBridge sends, asks for yesterday's report.
"""

import asyncio
import os
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

import boto3

from deloton.running.logs import configure_logging
from reporter.app import now_utc, periods_asked_for, send
from reporter.errors import ReportError
from reporter.settings import ReporterSettings


def handle(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Send what the event asks for; return what became of each report.

    Raises `ReportError` where any failed, so that Lambda counts the call as failed; trying it
    again sends nothing twice. Raises `NotOverYet` for a day or week that still goes on,
    `SettingsError` and `ValueError` for what cannot be meant.
    """
    _take_the_databases_password()
    settings = ReporterSettings.from_environment()
    configure_logging(settings.log_level)
    periods = periods_asked_for(
        ZoneInfo(settings.time_zone),
        now_utc(),
        _day(event.get("date")),
        _day(event.get("from")),
        _day(event.get("to")),
        event.get("week") is True,
    )
    done = asyncio.run(send(settings, periods, resend=event.get("resend") is True))
    failed = [f"{one.edition} report of {one.on}: {one.failure}" for one in done if one.failure]
    if failed:
        raise ReportError("; ".join(failed))
    return {
        "reports": [
            {"edition": one.edition, "on": one.on.isoformat(), "outcome": one.outcome}
            for one in done
        ]
    }


def _take_the_databases_password() -> None:
    """Ask for it each time, where `PGPASSWORD_SECRET` names it: a function is handed no secrets."""
    if secret := os.environ.get("PGPASSWORD_SECRET"):
        secrets = boto3.session.Session().client(
            "secretsmanager", region_name=os.environ.get("AWS_REGION")
        )
        told = secrets.get_secret_value(SecretId=secret)
        os.environ["PGPASSWORD"] = told["SecretString"]


def _day(text: str | None) -> date | None:
    return date.fromisoformat(text) if text else None
