"""Whatever a provider answers, or does not, a mail ends in one of our own five words.

`MAIL_ANSWERS` (600) is how many made-up answers are tried, `MAIL_ANSWERS_SEED` which ones.
"""

import asyncio
import os
import random
import socket
import threading
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from email.message import EmailMessage
from typing import Any

import pytest
import pytest_asyncio

from deloton.errors import (
    AddressRefused,
    MailError,
    MailRefused,
    MailThrottled,
    MailUnavailable,
    MailUnknown,
)
from deloton.wire.mail import Mailer, open_mailer
from demo.ports import LOCALHOST
from tests.ses_double import SesDouble, running_ses_double
from tests.smtp_double import USUAL, running_smtp_double

ANSWERS = int(os.environ.get("MAIL_ANSWERS", "600"))
SEED = int(os.environ.get("MAIL_ANSWERS_SEED", "19"))

pytestmark = pytest.mark.timeout(600 + ANSWERS / 5)

Answer = tuple[int, dict[str, str], bytes]


def a_mail() -> EmailMessage:
    message = EmailMessage()
    message["From"] = "Deloton <alerts@deloton.example>"
    message["To"] = "ada@example.com"
    message["Subject"] = "Slow down"
    message.set_content("Your heart rate was 190 bpm.\n")
    return message


async def end_of(mailer: Mailer) -> str:
    """`accepted`, or which error a mail ended with; any other passes through."""
    try:
        await mailer.send(a_mail())
    except MailError as error:
        return type(error).__name__
    return "accepted"


@pytest_asyncio.fixture
async def ses(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[SesDouble]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    async with running_ses_double() as double:
        yield double


JSON = {"Content-Type": "application/json"}
REJECTED = JSON | {"x-amzn-ErrorType": "MessageRejected"}


@pytest.mark.parametrize(
    ("answer", "end"),
    [
        ((200, JSON, b'{"MessageId": "1"}'), "accepted"),
        ((200, JSON, b'{"MessageId": "1'), MailUnknown),
        ((200, JSON, b""), MailUnknown),
        ((200, JSON, b"{}"), MailUnknown),
        ((200, JSON, b"[]"), MailUnknown),
        ((200, JSON, b'{"MessageId": 1}'), MailUnknown),
        ((200, JSON, b'{"MessageId": ""}'), MailUnknown),
        ((200, {"Content-Type": "text/html"}, b"<html>Log in, please"), MailUnknown),
        ((200, JSON, b"\xff\xfe"), MailUnknown),
        ((200, JSON | {"Content-Encoding": "gzip"}, b"no gzip"), MailUnknown),
        ((204, {}, b""), MailUnknown),
        ((302, {"Location": "http://127.0.0.1:1/"}, b""), MailUnavailable),
        ((403, JSON, b"{}"), MailUnavailable),
        ((413, {}, b"too large"), MailUnavailable),
        ((429, {}, b""), MailThrottled),
        ((500, JSON, b"[]"), MailUnavailable),
        ((500, JSON, b'"text"'), MailUnavailable),
        ((500, {}, b"Internal error"), MailUnavailable),
        ((500, JSON, b"\xff\xfe"), MailUnavailable),
        ((500, JSON, b'{"message": {"a": 1}}'), MailUnavailable),
        ((502, {}, b"<html>"), MailUnknown),
        ((503, {}, b""), MailUnavailable),
        ((504, {}, b""), MailUnknown),
        ((400, REJECTED, b'{"message": "spam"}'), MailRefused),
        ((400, REJECTED, b'{"message": "Email address is not verified."}'), MailUnavailable),
        ((400, JSON, b'{"__type": "BadRequestException", "message": "no"}'), MailRefused),
    ],
)  # fmt: skip
async def test_each_answer_over_http_has_its_meaning(
    ses: SesDouble, answer: Answer, end: str | type[MailError]
) -> None:
    ses.odd_answer = lambda: answer
    async with open_mailer("ses://eu-west-2", aws_endpoint_url=ses.url) as mailer:
        assert await end_of(mailer) == (end if isinstance(end, str) else end.__name__)


async def test_an_answer_that_trickles_in_is_unknown_and_who_waited_for_its_connection_unsent(
    ses: SesDouble,
) -> None:
    ses.trickles_for_s = 10.0
    options = {"aws_endpoint_url": ses.url, "connections": 1, "answer_within_s": 3.0}
    async with open_mailer("ses://eu-west-2", **options) as mailer:  # type: ignore[arg-type]
        ends = await asyncio.gather(end_of(mailer), end_of(mailer))
    assert sorted(ends) == ["MailUnavailable", "MailUnknown"]


async def test_a_mail_that_waits_for_a_name_server_has_not_been_sent_and_never_is(
    ses: SesDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_back, look_up = threading.Event(), socket.getaddrinfo

    def slow_look_up(*asked: str | int | None) -> list[Any]:
        is_back.wait()
        return list(look_up(*asked))  # type: ignore[arg-type]

    options = {"aws_endpoint_url": ses.url, "connections": 1}
    async with open_mailer("ses://eu-west-2", answer_within_s=3.0, **options) as mailer:  # type: ignore[arg-type]
        monkeypatch.setattr(socket, "getaddrinfo", slow_look_up)
        assert await end_of(mailer) == "MailUnavailable"
        is_back.set()
        # The one connection carries them in their order.
        while not ses.accepted:
            await end_of(mailer)
        assert len(ses.asked_at) == len(ses.accepted) == 1


def made_up_answer(random_: random.Random) -> Answer:
    """A status, headers and a body that may or may not fit together."""
    status = random_.choice([200, 200, 201, 204, 301, 400, 400, 403, 404, 429, 500, 502, 503, 504])
    names = ["MessageRejected", "Throttling", "x" * 300, "", "BadRequestException:http://a", "é"]
    headers = {"Content-Type": random_.choice(["application/json", "text/html", "x", ""])}
    if random_.random() < 0.4:
        headers["x-amzn-ErrorType"] = random_.choice(names).encode("ascii", "replace").decode()
    if random_.random() < 0.1:
        headers["Content-Encoding"] = random_.choice(["gzip", "deflate", "br"])
    bodies = [
        b'{"MessageId": "1"}', b"{}", b"[]", b"null", b'"x"', b"12", b"", b"\xff\x00", b"<html>",
        b'{"message": 1, "__type": []}', b'{"Error": "x"}', b'{"message": null}', b"[" * 2000,
        random_.randbytes(random_.randrange(40)),
    ]  # fmt: skip
    body = random_.choice(bodies)
    return status, headers, body[: random_.randrange(len(body) + 1)] if body else body


async def test_no_made_up_answer_over_http_ends_otherwise(ses: SesDouble) -> None:
    random_ = random.Random(SEED)
    ses.odd_answer = lambda: made_up_answer(random_)
    async with open_mailer("ses://eu-west-2", aws_endpoint_url=ses.url) as mailer:
        ends = await many(lambda: end_of(mailer), ANSWERS // 2, at_once=10)
    assert len(ends) >= 4, ends


async def many(step: Callable[[], Awaitable[str]], count: int, at_once: int) -> Counter[str]:
    """The ends of so many, a few at once: who waits for an answer holds up no other."""
    ends, numbers = Counter[str](), iter(range(count))

    async def one_after_another() -> None:
        for _ in numbers:
            ends[await step()] += 1

    async with asyncio.TaskGroup() as tasks:
        for _ in range(at_once):
            tasks.create_task(one_after_another())
    return ends


async def end_by_smtp(
    answers: Callable[[str], bytes | None],
    login: str = "",
    options: str = "",
    answer_within_s: float = 60.0,
) -> tuple[str, int]:
    """How a mail ends, and how many texts the server was given."""
    async with running_smtp_double(answers) as double:
        url = f"smtp://{login}{LOCALHOST}:{double.port}{options}"
        async with open_mailer(url, answer_within_s=answer_within_s) as mailer:
            return await end_of(mailer), double.texts


@pytest.mark.parametrize(
    ("step", "answer", "end"),
    [
        ("greeting", b"554 go away\r\n", MailUnavailable),
        ("greeting", b"421 busy\r\n", MailThrottled),
        ("greeting", b"\xff\xfe\r\n", MailUnavailable),
        ("greeting", None, MailUnavailable),
        ("mail", b"550 who are you\r\n", MailUnavailable),
        ("rcpt", b"550 5.1.1 no such rider\r\n", AddressRefused),
        ("rcpt", b"550 no such rider\r\n", AddressRefused),
        ("rcpt", b"550 5.7.1 we dislike you\r\n", MailRefused),
        ("rcpt", b"552 mailbox full\r\n", MailRefused),
        ("data", b"550 5.1.1 no such rider\r\n", MailRefused),
        ("rcpt", b"554 5.7.1 relay access denied\r\n", MailUnavailable),
        ("rcpt", b"450 greylisted\r\n", MailUnavailable),
        ("rcpt", b"nonsense\r\n", MailUnavailable),
        ("rcpt", None, MailUnavailable),
        ("data", b"554 no\r\n", MailRefused),
        ("data", b"451 later\r\n", MailUnavailable),
        ("text", b"554 Message rejected: Email address is not verified.\r\n", MailUnavailable),
        ("text", b"554 spam\r\n", MailRefused),
        ("text", b"451 later\r\n", MailUnavailable),
        ("text", b"\xff\xfe\r\n", MailUnknown),
        ("text", b"250", MailUnknown),
        ("text", None, MailUnknown),
        ("text", b"999 what\r\n", MailUnknown),
    ],
)
async def test_each_answer_over_smtp_has_its_meaning_at_its_step(
    step: str, answer: bytes | None, end: type[MailError]
) -> None:
    # Who never ends an answer is waited for to the end; whoever does is busy at most.
    is_whole = answer is not None and answer.endswith(b"\n")
    found, _ = await end_by_smtp(
        lambda at: answer if at == step else USUAL.get(at, b"250 ok\r\n"),
        answer_within_s=60.0 if is_whole else 4.0,
    )
    assert found == end.__name__


async def test_a_password_is_not_sent_in_clear_unless_told_so() -> None:
    said: list[str] = []

    def answers(step: str) -> bytes:
        said.append(step)
        offers = b"250-here\r\n250 AUTH PLAIN\r\n"
        return offers if step == "ehlo" else USUAL.get(step, b"250 ok\r\n")

    found, texts = await end_by_smtp(answers, login="ada:s3cret@")
    assert (found, texts, "auth" in said) == ("MailUnavailable", 0, False)
    found, texts = await end_by_smtp(answers, login="ada:s3cret@", options="?tls=optional")
    assert (found, texts, "auth" in said) == ("accepted", 1, True)


async def test_no_made_up_answer_over_smtp_ends_otherwise() -> None:
    random_ = random.Random(SEED)

    def answers(step: str) -> bytes | None:
        if random_.random() < 0.8:
            return USUAL.get(step, b"250 ok\r\n")
        return made_up_line(random_)

    async def one() -> str:
        return (await end_by_smtp(answers, answer_within_s=3.0))[0]

    ends = await many(one, ANSWERS // 2, at_once=50)
    assert len(ends) >= 4, ends


def made_up_line(random_: random.Random) -> bytes | None:
    """A code and a text that may or may not fit together; seldom nothing."""
    codes: Sequence[bytes] = (
        b"200",
        b"250",
        b"354",
        b"421",
        b"450",
        b"452",
        b"500",
        b"550",
        b"999",
    )
    parts = [
        random_.choice([*codes, b"", b"-1", b"2", b"abc"]),
        random_.choice([b" ", b"-", b"", b"\xff"]),
        random_.choice([b"ok", b"\xff\xfe", b"x" * 2000, b"not verified", random_.randbytes(20)]),
        random_.choice([b"\r\n", b"\n", b"\r\n", b"\r\n\r\n"]),
    ]
    return b"".join(parts) if random_.random() < 0.97 else None
