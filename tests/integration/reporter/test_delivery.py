"""A report reaches the CEO once, whatever happens on the way; operations hear of what goes wrong.

S3 and SES are moto's, over HTTP; the database is a real one.
"""

import asyncio
import email
import io
import json
import os
import re
from collections.abc import Iterator
from datetime import date
from email.message import EmailMessage
from email.policy import default
from zoneinfo import ZoneInfo

import asyncpg
import boto3
import pytest
from pypdf import PdfReader

from deloton.errors import MailError, MailRefused, MailThrottled, MailUnknown
from reporter import ledger
from reporter.app import Done, send
from reporter.days import Edition, day_in, week_in
from reporter.delivery import Outcome, Outlets, deliver
from reporter.errors import ReportNotMailed, ReportUncertain
from reporter.handler import handle
from reporter.settings import ReporterSettings
from tests.integration.reporter.report_rows import ON, row_of, store_rides
from tests.moto_server import forget_everything, mails_in_moto, running_moto
from tests.roles import as_role

LONDON = ZoneInfo("Europe/London")
DAY = day_in(LONDON, ON)
BUCKET = "deloton-reports"
STEM = "reports/2026/03/10"


@pytest.fixture(scope="module")
def moto_server() -> Iterator[str]:
    with running_moto() as url:
        yield url


@pytest.fixture
def aws(moto_server: str, database_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of an AWS with a bucket and a sender, and the environment that names both."""
    forget_everything(moto_server)
    environment = {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_ENDPOINT_URL": moto_server,
        "DATABASE_URL": as_role(database_url, "reporter"),
        "MAIL_URL": "ses://eu-west-2",
        "MAIL_FROM": "Deloton <hello@deloton.example>",
        "CEO_EMAIL": "Zoë Chief <ceo@deloton.example>, board@deloton.example",
        "OPERATIONS_EMAIL": "operations@deloton.example",
        "REPORT_REPLY_TO": "analysts@deloton.example",
        "REPORT_BUCKET": BUCKET,
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    s3 = boto3.session.Session().client("s3", region_name="eu-west-2")
    s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-west-2"})
    boto3.session.Session().client("sesv2", region_name="eu-west-2").create_email_identity(
        EmailIdentity="deloton.example"
    )
    return moto_server


def settings() -> ReporterSettings:
    return ReporterSettings.from_environment()


def mails(aws: str) -> list[EmailMessage]:
    """What SES has accepted."""
    return [
        email.message_from_string(sent["raw_data"], policy=default) for sent in mails_in_moto(aws)
    ]


class RecordingMailer:
    """Accepts every mail, or answers with `trouble`; not before `may_answer`."""

    def __init__(self, trouble: MailError | None = None) -> None:
        self.trouble, self.asked, self.may_answer = trouble, 0, asyncio.Event()
        self.may_answer.set()

    async def send(self, message: EmailMessage) -> str:
        self.asked += 1
        await self.may_answer.wait()
        if self.trouble:
            raise self.trouble
        return f"id-{self.asked}"


async def deliver_by(
    mailer: RecordingMailer, *, resend: bool = False, patience_s: float = 0.1
) -> Outcome:
    """Deliver without an archive."""
    connection = await asyncpg.connect(settings().database_url.get_secret_value())
    try:
        outlets = Outlets(settings(), connection, mailer, None, patience_s)
        return await deliver(outlets, DAY, resend=resend)
    finally:
        await connection.close()


async def test_the_report_is_mailed_archived_and_noted(aws: str, database_url: str) -> None:
    await store_rides(database_url)
    assert await send(settings(), [DAY]) == [Done(Edition.DAILY, ON, Outcome.SENT)]
    [mail] = await asyncio.to_thread(mails, aws)
    assert mail["To"] == "Zoë Chief <ceo@deloton.example>, board@deloton.example"
    assert mail["Reply-To"] == "analysts@deloton.example"
    assert mail["Subject"] == (
        "Deloton, Tuesday 10 March 2026: 3 rides (±0\u00a0% on the 1-day mean)"
    )
    [pdf] = mail.iter_attachments()
    assert pdf.get_filename() == "deloton-daily-report-2026-03-10.pdf"
    row = await row_of(database_url)
    assert row is not None
    assert (row["state"], row["attempts"], row["failure"]) == ("sent", 1, None)
    assert row["archived_at"] > row["sent_at"]
    assert row["provider_message_id"]


async def test_the_archive_holds_pdf_page_and_figures_encrypted_behind_relative_links(
    aws: str, database_url: str
) -> None:
    s3 = boto3.session.Session().client("s3", region_name="eu-west-2")
    by_our_key = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms"}}
    s3.put_bucket_encryption(
        Bucket=BUCKET, ServerSideEncryptionConfiguration={"Rules": [by_our_key]}
    )
    await store_rides(database_url)
    await send(settings(), [DAY, week_in(LONDON, ON)])
    found = {key["Key"] for key in s3.list_objects_v2(Bucket=BUCKET)["Contents"]}
    endings = ("pdf", "html", "json")
    expected = {f"{stem}.{end}" for stem in (STEM, "reports/2026/week-11") for end in endings}
    assert found == expected | {"reports/index.html"}
    for key in found:
        kept = s3.get_object(Bucket=BUCKET, Key=key)
        assert kept["ServerSideEncryption"] == "aws:kms", key
    pdf = s3.get_object(Bucket=BUCKET, Key=f"{STEM}.pdf")["Body"].read()
    assert "3 rides" in PdfReader(io.BytesIO(pdf)).pages[0].extract_text()
    figures = json.loads(s3.get_object(Bucket=BUCKET, Key=f"{STEM}.json")["Body"].read())
    assert (figures["on"], figures["totals"]["rides"]) == ("2026-03-10", 3)
    index = s3.get_object(Bucket=BUCKET, Key="reports/index.html")["Body"].read().decode()
    links = re.findall(r'href="([^"]+)"', index)
    assert sorted(f"reports/{link}" for link in links) == sorted(expected)
    grants = s3.get_object_acl(Bucket=BUCKET, Key=f"{STEM}.pdf")["Grants"]
    assert all("URI" not in grant["Grantee"] for grant in grants), "nobody else may read it"


async def test_a_second_run_sends_nothing_and_resend_sends_again(
    aws: str, database_url: str
) -> None:
    outcomes = [(await send(settings(), [DAY]))[0].outcome for _ in range(2)]
    assert outcomes == [Outcome.SENT, Outcome.ALREADY_SENT]
    [again] = await send(settings(), [DAY], resend=True)
    assert again.outcome is Outcome.SENT
    assert len(await asyncio.to_thread(mails, aws)) == 2


async def test_of_runs_at_the_same_time_one_sends(aws: str, database_url: str) -> None:
    mailer = RecordingMailer()
    mailer.may_answer.clear()
    runs = [asyncio.create_task(deliver_by(mailer)) for _ in range(4)]
    for _ in range(3):
        await asyncio.wait(runs, return_when=asyncio.FIRST_COMPLETED)
        done = next(run for run in runs if run.done())
        assert await done is Outcome.UNDER_WAY
        runs.remove(done)
    mailer.may_answer.set()
    assert await runs[0] is Outcome.SENT
    assert mailer.asked == 1
    assert await deliver_by(mailer) is Outcome.ALREADY_SENT


async def test_a_run_that_died_while_sending_is_not_repeated_but_told(
    aws: str, database_url: str
) -> None:
    connection = await asyncpg.connect(database_url)
    async with ledger.hold(connection, DAY):
        await ledger.begin(connection, DAY)
        connection.terminate()
    [done] = await send(settings(), [DAY])
    assert done.failure is not None
    assert "may have arrived" in done.failure
    [told] = await asyncio.to_thread(mails, aws)
    assert told["To"] == "operations@deloton.example"
    assert "python -m reporter --date 2026-03-10 --resend" in told.get_content()
    [forced] = await send(settings(), [DAY], resend=True)
    assert forced.outcome is Outcome.SENT


async def test_a_lost_answer_leaves_the_report_uncertain(aws: str, database_url: str) -> None:
    mailer = RecordingMailer(MailUnknown("ReadTimeoutError"))
    with pytest.raises(ReportUncertain):
        await deliver_by(mailer, patience_s=5)
    assert mailer.asked == 1, "it may have arrived: it is not tried again"
    with pytest.raises(ReportUncertain):
        await deliver_by(RecordingMailer())


async def test_a_refused_mail_is_noted_as_failed_and_sent_by_the_next_run(
    aws: str, database_url: str
) -> None:
    with pytest.raises(ReportNotMailed, match="MessageRejected"):
        await deliver_by(RecordingMailer(MailRefused("MessageRejected")))
    row = await row_of(database_url)
    assert row is not None
    assert (row["state"], row["failure"]) == ("failed", "mail: MessageRejected")
    assert await deliver_by(RecordingMailer()) is Outcome.SENT


async def test_what_passes_by_itself_is_tried_again(aws: str, database_url: str) -> None:
    mailer = RecordingMailer(MailThrottled("TooManyRequestsException"))
    sending = asyncio.create_task(deliver_by(mailer, patience_s=300))
    while mailer.asked < 2:
        await asyncio.sleep(0.01)
    mailer.trouble = None
    assert await sending is Outcome.SENT


async def test_an_archive_that_is_away_keeps_no_mail_back_and_is_made_up_for(
    aws: str, database_url: str
) -> None:
    s3 = boto3.session.Session().client("s3", region_name="eu-west-2")
    s3.delete_bucket(Bucket=BUCKET)
    [done] = await send(settings(), [DAY])
    assert done.failure == "the archive refused it: NoSuchBucket"
    assert [mail["To"].addresses[-1].username for mail in await asyncio.to_thread(mails, aws)] == [
        "board",
        "operations",
    ]
    s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-west-2"})
    [made_up] = await send(settings(), [DAY])
    assert made_up.outcome is Outcome.ARCHIVED
    assert len(await asyncio.to_thread(mails, aws)) == 2


async def test_a_report_that_fails_keeps_no_other_back(aws: str, database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    await ledger.begin(connection, DAY)
    await connection.close()
    days = [DAY.before(1), DAY, DAY.before(-1)]
    done = await send(settings(), days)
    assert [one.outcome for one in done] == [Outcome.SENT, None, Outcome.SENT]


def test_lambda_sends_what_the_event_asks_for(aws: str, database_url: str) -> None:
    asyncio.run(store_rides(database_url))
    asked = {"from": "2026-03-09", "to": "2026-03-10"}
    reports = [
        {"edition": "daily", "on": on, "outcome": "sent"} for on in ("2026-03-09", "2026-03-10")
    ]
    assert handle(asked, None) == {"reports": reports}
    assert len(mails(aws)) == 2


def test_lambda_takes_an_event_of_the_scheduler_as_yesterday(aws: str, database_url: str) -> None:
    event = {"source": "aws.scheduler", "detail-type": "Scheduled Event", "detail": {}}
    [report] = handle(event, None)["reports"]
    assert date.fromisoformat(report["on"]) < date.today()  # noqa: DTZ011


def test_lambda_fetches_the_databases_password_each_time(
    aws: str, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    secrets = boto3.session.Session().client(
        "secretsmanager", endpoint_url=aws, region_name="eu-west-2"
    )
    secret = secrets.create_secret(Name="password", SecretString="first")["ARN"]
    monkeypatch.setenv("AWS_REGION", "eu-west-2")  # as Lambda does
    monkeypatch.setenv("PGPASSWORD_SECRET", secret)
    monkeypatch.setenv("PGPASSWORD", "of the time before")
    handle({"date": "2026-03-09"}, None)
    assert os.environ["PGPASSWORD"] == "first"
    secrets.put_secret_value(SecretId=secret, SecretString="second")
    handle({"date": "2026-03-10"}, None)
    assert os.environ["PGPASSWORD"] == "second"


def test_lambda_fails_loudly_and_operations_are_told(aws: str, database_url: str) -> None:
    asyncio.run(sabotage(database_url))
    with pytest.raises(Exception, match="2026-03-10"):
        handle({"date": "2026-03-10"}, None)
    [told] = mails(aws)
    assert told["Subject"] == "Deloton: the daily report of 2026-03-10 needs somebody"


async def sabotage(url: str) -> None:
    """Take away what the report is counted from."""
    connection = await asyncpg.connect(url)
    await connection.execute("DROP TABLE heart_rate_alerts CASCADE")
    await connection.close()
