"""EDGE: inboxes that the canary reads: a folder of mails, Mailpit's list, a queue of SES' events.

Each says whether a mail for an address has arrived. A mail is told of once: nobody asks again for
what has come.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import unquote, urlsplit

import aiohttp

_NEWEST: Final = 200
# The envelope and the header are in it.
_HEAD_BYTES: Final = 16_384
_ANSWER_WITHIN_S: Final = 10
# A queue is asked once and waits so long for an answer by itself.
_QUEUE_WAITS_S: Final = 1


class Inbox(Protocol):
    """Where the canary's mails arrive."""

    async def holds(self, address: str) -> bool:
        """Whether a mail for the address has arrived.

        Raises `OSError`, or what the library of the way raises, where the inbox does not answer.
        """


class FolderInbox:
    """A folder with a file a mail, as the demo's inbox and `MAIL_URL=file:///…` keep them."""

    def __init__(self, folder: Path) -> None:
        """Describe the folder; it may come to be later."""
        self._folder = folder
        self._read: set[str] = set()

    async def holds(self, address: str) -> bool:
        """Whether the head of a new file names the address."""
        return await asyncio.to_thread(self._find, address.encode())

    def _find(self, address: bytes) -> bool:
        new = [path for path in self._folder.glob("*.eml") if path.name not in self._read]
        self._read.update(path.name for path in new)
        return any(address in path.read_bytes()[:_HEAD_BYTES] for path in new)


class MailpitInbox:
    """Mailpit's list of the newest messages: https://mailpit.axllent.org/docs/api-v1/."""

    def __init__(self, address: str, session: aiohttp.ClientSession) -> None:
        """Describe a server such as `http://mail:8025`."""
        self._list = f"{address.rstrip('/')}/api/v1/messages"
        self._session = session

    async def holds(self, address: str) -> bool:
        """Whether one of the newest messages went to the address."""
        async with self._session.get(self._list, params={"limit": _NEWEST}) as answer:
            answer.raise_for_status()
            listed = await answer.json(content_type=None)
        return any(to["Address"] == address for mail in listed["messages"] for to in mail["To"])


class QueueInbox:
    """An SQS queue of SES' events *delivery*, of mails to SES' mailbox simulator.

    EventBridge brings the events: see the template `canary`.
    """

    def __init__(self, queue_url: str, sqs: Any) -> None:  # noqa: ANN401
        """Take a boto3 client of SQS."""
        self._url = queue_url
        self._sqs = sqs

    async def holds(self, address: str) -> bool:
        """Take what is in the queue, and say whether an event tells of the address."""
        return await asyncio.to_thread(self._take, address)

    def _take(self, address: str) -> bool:
        asked = {"MaxNumberOfMessages": 10, "WaitTimeSeconds": _QUEUE_WAITS_S}
        taken = self._sqs.receive_message(QueueUrl=self._url, **asked).get("Messages", [])
        for message in taken:
            self._sqs.delete_message(QueueUrl=self._url, ReceiptHandle=message["ReceiptHandle"])
        return any(address in _recipients(message["Body"]) for message in taken)


def _recipients(event: str) -> list[str]:
    try:
        return list(json.loads(event)["detail"]["mail"]["destination"])
    except (ValueError, KeyError, TypeError):
        return []


@asynccontextmanager
async def open_inbox(url: str, aws_endpoint_url: str | None = None) -> AsyncIterator[Inbox]:
    """The inbox that `url` names; closed when the block ends.

    `file:///folder`, `http://host:8025` (Mailpit), or `sqs://<region>/<account>/<queue>`.
    """
    parts = urlsplit(url)
    if parts.scheme == "file":
        yield FolderInbox(Path(unquote(parts.path)))
    elif parts.scheme == "sqs":
        import boto3  # noqa: PLC0415  who reads no queue need not have it in memory

        sqs = boto3.session.Session().client(
            "sqs", region_name=parts.hostname, endpoint_url=aws_endpoint_url
        )
        account, _, queue = parts.path.strip("/").partition("/")
        found = sqs.get_queue_url(QueueName=queue, QueueOwnerAWSAccountId=account)
        yield QueueInbox(found["QueueUrl"], sqs)
    else:
        timeout = aiohttp.ClientTimeout(total=_ANSWER_WITHIN_S)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            yield MailpitInbox(url, session)
