"""EDGE: mail by Amazon SES, and what its answers and its silence mean."""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from email.message import EmailMessage
from typing import Any, Final
from urllib.parse import urlsplit

import boto3
import msgspec
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    HTTPClientError,
    IncompleteReadError,
    ParamValidationError,
)

from deloton.errors import MailError, MailRefused, MailThrottled, MailUnavailable, MailUnknown
from deloton.running.logs import get_logger
from deloton.wire.mail_messages import on_the_wire

_log = get_logger(__name__)

CONNECT_WITHIN_S: Final = 5.0

# What SES says of us as a whole when we are too fast, or have used up the day's quota.
_THROTTLES: Final = frozenset(
    {"TooManyRequestsException", "ThrottlingException", "Throttling", "LimitExceededException"}
)
# What SES says of one message or address. All else is about the account, the credentials or
# SES itself: somebody mends it, and the same message is then accepted.
_REFUSALS: Final = frozenset({"BadRequestException", "MessageRejected", "MessageRejectedException"})
# With the code of a refusal, and yet about the account: its identity, or that it may only send to
# verified addresses.
_OF_THE_ACCOUNT: Final = ("not verified", "sandbox", "suspended", "paused")
# A gateway's words for: I have asked, and do not know what became of it.
_NOBODY_KNOWS: Final = frozenset({502, 504})
_OK: Final = 200
_FIRST_ERROR: Final = 300


class _Handover:
    """A mail's way to SES: once it has begun nobody can tell how it ends but SES.

    Who waits and the thread that sends agree on which came first: giving up, or that.
    """

    def __init__(self) -> None:
        self._both = threading.Lock()
        self._has_begun = self._is_given_up = False

    def begin(self) -> None:
        """Raises `MailUnavailable` where nobody waits any more."""
        with self._both:
            if self._is_given_up:
                raise MailUnavailable("given up before it was sent")
            self._has_begun = True

    def give_up(self) -> bool:
        """Let it not begin any more; False where it has."""
        with self._both:
            self._is_given_up = True
            return not self._has_begun


class SesMailer:
    """Sends raw messages by the SES v2 API; boto3 blocks, so it works in threads of its own."""

    def __init__(
        self, region: str, endpoint_url: str | None, connections: int, answer_within_s: float
    ) -> None:
        """Describe the way out; connections are made when first used."""
        self._answer_within_s = answer_within_s
        self._threads = ThreadPoolExecutor(connections, thread_name_prefix="ses")
        self._client: Any = boto3.session.Session().client(
            "sesv2",
            region_name=region,
            endpoint_url=endpoint_url,
            config=Config(
                connect_timeout=min(CONNECT_WITHIN_S, answer_within_s),
                read_timeout=answer_within_s,
                max_pool_connections=connections,
                # Retries are the caller's.
                retries={"total_max_attempts": 1},
                tcp_keepalive=True,
            ),
        )
        self._client.meta.events.register("before-parse.sesv2.SendEmail", _look_at_the_answer)

    async def send(self, message: EmailMessage) -> str:
        """Hand a message to SES; return its `MessageId`."""
        raw, recipients = on_the_wire(message)
        handover = _Handover()
        job = self._threads.submit(self._send, raw, recipients, handover)
        answer = asyncio.wrap_future(job)
        # What comes too late is heard by nobody.
        answer.add_done_callback(lambda late: late.cancelled() or late.exception())
        try:
            # An answer that trickles in resets the socket's own time-out with each byte.
            async with asyncio.timeout(self._answer_within_s):
                return await asyncio.shield(answer)
        except TimeoutError:
            if handover.give_up():
                raise MailUnavailable("not handed over in time") from None
            raise MailUnknown("no answer in time") from None

    def close(self) -> None:
        """Let go of the connections; what is under way comes to its end in its thread."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._client.close()

    def _send(self, raw: bytes, recipients: list[str], handover: _Handover) -> str:
        self._look_up()
        handover.begin()
        try:
            answer = self._client.send_email(
                Destination={"ToAddresses": recipients}, Content={"Raw": {"Data": raw}}
            )
            return str(answer["MessageId"])
        except MailError:
            raise
        except Exception as error:
            raise _meaning_of(error) from error

    def _look_up(self) -> None:
        """Ask for SES's address: name servers that are away take half a minute to say so."""
        place = urlsplit(self._client.meta.endpoint_url)
        # Behind a proxy only the proxy may know it.
        with contextlib.suppress(OSError):
            socket.getaddrinfo(place.hostname, place.port or place.scheme)


def _look_at_the_answer(response_dict: dict[str, Any], **_: object) -> None:
    """Before boto3 reads an answer: some ends that it does not foresee are told by us.

    Raises `MailUnknown` for a success that is none of SES's; empties the body of a failure where
    boto3 could not read it.
    """
    try:
        body = msgspec.json.decode(response_dict["body"])
    except (msgspec.DecodeError, UnicodeError):
        body = None
    status = int(response_dict["status_code"])
    if status < _FIRST_ERROR:
        named = body.get("MessageId") if isinstance(body, dict) else None
        if status != _OK or not isinstance(named, str) or not named:
            raise MailUnknown(f"HTTP {status} without a message id")
    elif not isinstance(body, dict) or not _is_plain(body):
        response_dict["body"] = b"{}"


def _is_plain(body: Mapping[str, object]) -> bool:
    return all(value is None or isinstance(value, str) for value in body.values())


def _meaning_of(error: Exception) -> MailError:
    """What an end of boto3's means; whatever is not foreseen may have been accepted."""
    match error:
        case ClientError():
            return _meaning_of_refusal(error)
        case ParamValidationError():
            return MailRefused(type(error).__name__)
        case HTTPClientError() | IncompleteReadError():
            return MailUnknown(type(error).__name__)
        case BotoCoreError():
            # No connection, no credentials: nothing has been sent.
            return MailUnavailable(type(error).__name__)
        case _:
            _log.warning("SES gave an answer that nobody foresaw", error=type(error).__name__)
            return MailUnknown(type(error).__name__)


def _meaning_of_refusal(error: ClientError) -> MailError:
    told = error.response.get("Error", {})
    code = str(told.get("Code") or "unknown")
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    if code in _THROTTLES or status == 429:  # noqa: PLR2004  Too Many Requests
        return MailThrottled(code)
    if code in _REFUSALS:
        why = str(told.get("Message", "")).lower()
        of_the_account = any(words in why for words in _OF_THE_ACCOUNT)
        return MailUnavailable(code) if of_the_account else MailRefused(code)
    return MailUnknown(f"HTTP {status}") if status in _NOBODY_KNOWS else MailUnavailable(code)
