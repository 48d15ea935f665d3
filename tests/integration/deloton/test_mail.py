"""Each way out for mail, against a real server of its kind, on good days and bad ones."""

import asyncio
import email
import resource
from collections.abc import AsyncIterator, Iterator
from email.message import EmailMessage
from email.policy import default
from pathlib import Path

import boto3
import pytest
import pytest_asyncio
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from deloton.errors import MailError, MailRefused, MailThrottled, MailUnavailable
from deloton.running.addresses import parse_address
from deloton.wire.mail import open_mailer
from demo.ports import LOCALHOST, free_port
from tests.moto_server import mails_in_moto, running_moto
from tests.ses_double import SesDouble, running_ses_double


def a_mail(to: str = "ada@example.com", subject: str = "Slow down – now") -> EmailMessage:
    message = EmailMessage()
    message["From"] = "Deloton <alerts@deloton.example>"
    message["To"] = to
    message["Subject"] = subject
    message.set_content("Your heart rate was 190 bpm – ease off.\n")
    return message


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """What boto3 signs with where nobody checks."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")


@pytest_asyncio.fixture
async def ses(credentials: None) -> AsyncIterator[SesDouble]:
    async with running_ses_double() as double:
        yield double


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    """The address of moto's server."""
    with running_moto() as url:
        yield url


async def test_ses_gets_the_whole_message_and_names_it(moto: str, credentials: None) -> None:
    ses = boto3.session.Session().client("sesv2", region_name="eu-west-2", endpoint_url=moto)
    ses.create_email_identity(EmailIdentity="deloton.example")
    async with open_mailer("ses://eu-west-2", aws_endpoint_url=moto) as mailer:
        message_id = await mailer.send(a_mail())
    [sent] = await asyncio.to_thread(mails_in_moto, moto)
    assert sent["id"] == message_id
    received = email.message_from_string(sent["raw_data"], policy=default)
    assert received["Subject"] == "Slow down – now"
    assert received["To"] == "ada@example.com"
    assert "190 bpm – ease off" in received.get_content()
    assert sent["raw_data"].isascii()


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("TooManyRequestsException", MailThrottled),
        ("MessageRejected", MailRefused),
        ("BadRequestException", MailRefused),
        ("SendingPausedException", MailUnavailable),
        ("AccessDeniedException", MailUnavailable),
        ("InternalServiceErrorException", MailUnavailable),
    ],
)
async def test_what_ses_answers_is_told_in_our_own_three_words(
    ses: SesDouble, code: str, error: type[MailError]
) -> None:
    ses.trouble = lambda _: code
    async with open_mailer("ses://eu-west-2", aws_endpoint_url=ses.url) as mailer:
        with pytest.raises(error, match=f"^{code}$"):
            await mailer.send(a_mail())
    assert len(ses.asked_at) == 1, "retries are the caller's"


async def test_mails_by_ses_are_under_way_together_and_the_loop_goes_on(ses: SesDouble) -> None:
    ses.answers_from = 8
    async with open_mailer("ses://eu-west-2", aws_endpoint_url=ses.url) as mailer:
        mails = [mailer.send(a_mail(f"rider{number}@example.com")) for number in range(8)]
        ids = await asyncio.gather(*mails)
    assert len(set(ids)) == len({mail.to for mail in ses.accepted}) == 8


@pytest.mark.parametrize("way", ["ses://eu-west-2", "smtp://{host}"])
async def test_nobody_there_is_unavailable(way: str, credentials: None) -> None:
    nobody = f"{LOCALHOST}:{free_port()}"
    url = way.format(host=nobody)
    async with open_mailer(url, aws_endpoint_url=f"http://{nobody}") as mailer:
        with pytest.raises(MailUnavailable):
            await mailer.send(a_mail())


async def test_without_credentials_ses_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    async with open_mailer("ses://eu-west-2") as mailer:
        with pytest.raises(MailUnavailable, match="NoCredentialsError"):
            await mailer.send(a_mail())


class Inbox:
    """What an SMTP server is given; `refusal` answers every recipient with another code."""

    def __init__(self) -> None:
        self.envelopes: list[Envelope] = []
        self.refusal: str | None = None

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self.refusal:
            return self.refusal
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        self.envelopes.append(envelope)
        return "250 OK"


@pytest.fixture
def smtp() -> Iterator[tuple[Inbox, str]]:
    """An SMTP server and its address."""
    inbox, port = Inbox(), free_port()
    server = Controller(inbox, hostname=LOCALHOST, port=port)
    server.start()
    yield inbox, f"smtp://{LOCALHOST}:{port}"
    server.stop()


async def test_smtp_carries_the_message_under_the_id_that_is_returned(
    smtp: tuple[Inbox, str],
) -> None:
    inbox, url = smtp
    async with open_mailer(url) as mailer:
        message_id = await mailer.send(a_mail())
    [envelope] = inbox.envelopes
    assert (envelope.mail_from, envelope.rcpt_tos) == (
        "alerts@deloton.example",
        ["ada@example.com"],
    )
    assert isinstance(envelope.content, bytes)
    received = email.message_from_bytes(envelope.content, policy=default)
    assert received["Message-ID"] == message_id
    assert received["Subject"] == "Slow down – now"


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ("421 4.7.0 slow down", MailThrottled),
        ("452 4.5.3 too many", MailThrottled),
        ("450 4.2.0 greylisted", MailUnavailable),
        ("530 5.7.0 who are you", MailUnavailable),
        ("550 5.1.1 no such rider", MailRefused),
    ],
)
async def test_what_a_mail_server_answers_is_told_in_the_same_words(
    smtp: tuple[Inbox, str], answer: str, error: type[MailError]
) -> None:
    inbox, url = smtp
    inbox.refusal = answer
    async with open_mailer(url) as mailer:
        with pytest.raises(error, match=rf"^SMTP {answer[:3]}$"):
            await mailer.send(a_mail())


async def test_files_hold_one_whole_mail_each(tmp_path: Path) -> None:
    folder = tmp_path / "not made yet"
    async with open_mailer(folder.as_uri()) as mailer:
        names = [await mailer.send(a_mail(subject=f"{number}")) for number in range(2)]
    assert sorted(path.name for path in folder.iterdir()) == sorted(names)
    received = email.message_from_bytes((folder / names[1]).read_bytes(), policy=default)
    assert received["Subject"] == "1"


async def test_a_full_disk_leaves_no_file_behind(tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    async with open_mailer(tmp_path.as_uri()) as mailer:
        # The kernel says so of any file that would be longer, as it does of a full disk.
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
        try:
            with pytest.raises(MailUnavailable, match="too large"):
                await mailer.send(a_mail())
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(tmp_path.iterdir()) == []


async def test_a_folder_that_cannot_be_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    async with open_mailer((tmp_path / "file" / "mails").as_uri()) as mailer:
        with pytest.raises(MailUnavailable, match="Not a directory"):
            await mailer.send(a_mail())


@pytest.mark.parametrize("url", ["", "ses://", "smtp://", "file://host/x", "http://mail:s3cret@a"])
async def test_an_address_that_is_no_way_out_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(ValueError, match="a mail URL is") as caught:
        async with open_mailer(url):
            pass
    assert "s3cret" not in str(caught.value)


async def test_a_message_to_nobody_is_refused(tmp_path: Path) -> None:
    message = a_mail()
    del message["To"]
    async with open_mailer(tmp_path.as_uri()) as mailer:
        with pytest.raises(MailRefused, match="no recipient"):
            await mailer.send(message)


async def test_blind_copies_get_the_mail_and_stay_blind(smtp: tuple[Inbox, str]) -> None:
    inbox, url = smtp
    message = a_mail()
    message["Bcc"] = "audit@deloton.example"
    async with open_mailer(url) as mailer:
        await mailer.send(message)
    [envelope] = inbox.envelopes
    assert envelope.rcpt_tos == ["ada@example.com", "audit@deloton.example"]
    assert isinstance(envelope.content, bytes)
    assert b"audit@" not in envelope.content
    assert message["Bcc"] == "audit@deloton.example"


@pytest.mark.parametrize("text", ["ada@example.com", "a.b+c-9@x.example.org", "9x@localhost"])
def test_usual_addresses_are_understood(text: str) -> None:
    address = parse_address(text, "Ada O'Example")
    assert address is not None
    assert address.addr_spec == text


@pytest.mark.parametrize(
    "text",
    [
        None, "", " ", "ada", "ada@", "@example.com", "ada@example", "a b@example.com",
        "ada@example.com\nBcc: x@example.com", "ada@example.com, bob@example.com",
        "Ada <ada@example.com>", "ädä@example.com", " ada@example.com", "ada@.", "ada@@example.com",
    ],
)  # fmt: skip
def test_what_is_no_address_is_none(text: str | None) -> None:
    assert parse_address(text) is None
