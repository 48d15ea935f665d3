"""What the reporter reads from its environment."""

from email.utils import getaddresses
from typing import Annotated

from pydantic import AfterValidator

from deloton.settings import CloudWatchSettings, DatabaseSettings, MailSettings, Sender


def _addresses(text: str) -> str:
    found = [address for _, address in getaddresses([text])]
    if not found or not all("@" in address for address in found):
        raise ValueError("must be addresses, with commas between them")
    return text


Recipients = Annotated[str, AfterValidator(_addresses)]


class CountingSettings(DatabaseSettings):
    """What a report that is only looked at takes."""


class ReporterSettings(CountingSettings, MailSettings, CloudWatchSettings):
    """The reporter's settings; `.env.example` says what each means."""

    # One address or several with commas.
    ceo_email: Recipients
    operations_email: Recipients
    report_reply_to: Sender | None = None
    # None: the reports are mailed and not archived.
    report_bucket: str | None = None
    aws_region: str = "eu-west-2"
