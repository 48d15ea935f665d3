"""CORE: the demo's company lives by one clock, on its terminal and in its inbox as on its pages."""

from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

TIME_ZONE: Final = ZoneInfo("Europe/London")


def company_time(moment: datetime) -> datetime:
    """A moment as the company's clocks show it."""
    return moment.astimezone(TIME_ZONE)
