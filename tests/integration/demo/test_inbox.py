"""The demo's inbox: what is mailed to it can be read, and does nothing while it is."""

import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from email.message import EmailMessage
from pathlib import Path

import aiohttp
import aiosmtplib
import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from demo.inbox import make_pages, serve_smtp
from demo.mail_folder import MailFolder
from demo.ports import LOCALHOST, answers, free_port
from tests.started import started

PICTURE = b"\x89PNG picture"
Client = TestClient[web.Request, web.Application]


def a_mail(subject: str = "Ease off – now", html: str = "<p>170 bpm</p>") -> EmailMessage:
    mail = EmailMessage()
    mail["From"] = "Deloton <alerts@deloton.example>"
    mail["To"] = "ada@example.com"
    mail["Subject"] = subject
    mail.set_content("170 bpm – ease off.\n")
    mail.add_alternative(html, subtype="html")
    return mail


class Inbox:
    """A running inbox: where to send to, what to read with."""

    def __init__(self, folder: MailFolder, smtp_port: int, client: Client) -> None:
        self.folder = folder
        self.smtp_port = smtp_port
        self.client = client

    async def take(self, mail: EmailMessage) -> str:
        """Mail it; return its page."""
        await aiosmtplib.send(mail, hostname=LOCALHOST, port=self.smtp_port)
        [newest, *_] = self.folder.newest(1)
        return f"/mails/{newest.mail_id}"

    async def read(self, path: str) -> tuple[int, str]:
        """A page's status and text."""
        async with self.client.get(path) as answer:
            return answer.status, await answer.text()


@pytest_asyncio.fixture
async def inbox(tmp_path: Path) -> AsyncIterator[Inbox]:
    folder, port = MailFolder(tmp_path / "not made yet"), free_port()
    server = await serve_smtp(folder, port)
    async with TestClient(TestServer(make_pages(folder))) as client:
        yield Inbox(folder, port, client)
    server.close()


async def test_an_empty_inbox_says_so(inbox: Inbox) -> None:
    status, text = await inbox.read("/")
    assert (status, "No mail yet" in text) == (200, True)


async def test_a_mail_in_a_charset_that_nobody_knows_keeps_no_other_from_being_read(
    inbox: Inbox,
) -> None:
    inbox.folder.keep(
        b"Subject: odd\r\nContent-Type: text/plain; charset=foo\r\n\r\nEase off \xff\r\n", None, []
    )
    page = await inbox.take(a_mail("usual"))
    status, text = await inbox.read("/")
    assert (status, "odd" in text, "usual" in text) == (200, True, True)
    assert (await inbox.read(page))[0] == 200


async def test_the_newest_mail_is_listed_first_and_can_be_read(inbox: Inbox) -> None:
    await inbox.take(a_mail("first"))
    path = await inbox.take(a_mail())
    _, listed = await inbox.read("/")
    assert 0 < listed.index("Ease off – now") < listed.index("first")
    _, text = await inbox.read(path)
    assert "170 bpm – ease off." in text
    assert await inbox.read(f"{path}/html") == (200, "<p>170 bpm</p>\n")


async def test_every_mail_is_a_file_with_its_envelope(inbox: Inbox) -> None:
    mail = a_mail()
    mail["Bcc"] = "audit@deloton.example"
    await inbox.take(mail)
    [path] = inbox.folder.folder.iterdir()
    raw = path.read_bytes()
    assert raw.startswith(b"Return-Path: <alerts@deloton.example>\r\nDelivered-To: ada@example.com")
    assert b"\r\nDelivered-To: audit@deloton.example\r\n" in raw


async def test_attachments_are_downloaded_and_pictures_shown_in_their_place(inbox: Inbox) -> None:
    mail = a_mail(html='<img src="cid:chart@deloton">')
    [_, html] = mail.iter_parts()
    assert isinstance(html, EmailMessage)
    html.add_related(PICTURE, "image", "png", cid="<chart@deloton>")
    mail.add_attachment(b"%PDF", maintype="application", subtype="pdf", filename="day – 1.pdf")
    path = await inbox.take(mail)
    _, page = await inbox.read(path)
    assert "day – 1.pdf" in page
    _, shown = await inbox.read(f"{path}/html")
    picture = shown.split('"')[1]
    async with inbox.client.get(picture) as answer:
        assert (answer.content_type, await answer.read()) == ("image/png", PICTURE)
    async with inbox.client.get(f"{path}/parts/1") as answer:
        assert answer.headers["Content-Disposition"] == 'attachment; filename="day _ 1.pdf"'
        assert await answer.read() == b"%PDF"


async def test_a_mail_can_neither_run_scripts_nor_reach_the_network(inbox: Inbox) -> None:
    path = await inbox.take(a_mail("<script>1</script>", "<script>2</script>"))
    _, page = await inbox.read(path)
    assert "<script>" not in page
    async with inbox.client.get(f"{path}/html") as answer:
        policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("sandbox ")
    assert "allow-scripts" not in policy
    assert "default-src 'none'" in policy


async def test_what_is_not_there_is_not_found(inbox: Inbox) -> None:
    path = await inbox.take(a_mail())
    for missing in ("/mails/nothing", "/mails/..%2Fsecret", f"{path}/parts/0"):
        assert (await inbox.read(missing))[0] == 404


async def test_the_program_serves_both_and_ends_by_sigterm(tmp_path: Path) -> None:
    smtp_port, port = free_port(), free_port()
    command = [sys.executable, "-m", "demo.inbox", f"--folder={tmp_path}"]
    options = [f"--smtp-port={smtp_port}", f"--port={port}"]
    with started([*command, *options], stderr=subprocess.PIPE) as program:
        while not answers(port):
            assert program.poll() is None
        await aiosmtplib.send(a_mail(), hostname=LOCALHOST, port=smtp_port)
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://{LOCALHOST}:{port}/health") as answer,
        ):
            assert answer.status == 200
        program.send_signal(signal.SIGTERM)
        assert program.stderr is not None
        assert (program.wait(), program.stderr.read()) == (0, "")
    assert len(list(tmp_path.glob("*.eml"))) == 1
