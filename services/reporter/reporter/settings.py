"""EDGE: what the reporter reads from its environment."""

from deloton.running.settings import (
    CloudWatchSettings,
    DatabaseSettings,
    Mailbox,
    Mailboxes,
    MailSettings,
)


class CountingSettings(DatabaseSettings):
    """What a report that is only looked at takes."""


class ReporterSettings(CountingSettings, MailSettings, CloudWatchSettings):
    """The reporter's settings; `.env.example` says what each means."""

    # One address or several with commas.
    ceo_email: Mailboxes
    operations_email: Mailboxes
    report_reply_to: Mailbox | None = None
    # None: the reports are mailed and not archived.
    report_bucket: str | None = None
    aws_region: str = "eu-west-2"
