"""EDGE: the queue of Amazon SQS that what SES tells of mails arrives in."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from msgspec import Struct

# A call answers after so long, also where nothing has come: who stops us waits for it.
POLL_S: Final = 2
MOST_AT_ONCE: Final = 10


class Told(Struct, frozen=True):
    """A message of the queue, and by what it is deleted."""

    text: str
    receipt: str


class FeedbackQueue:
    """boto3 blocks, so it works in a thread of its own; connections are made when first used."""

    def __init__(self, queue_url: str, region: str, endpoint_url: str | None) -> None:
        """Describe the queue."""
        self._url = queue_url
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="sqs")
        self._client: Any = boto3.session.Session().client(
            "sqs",
            region_name=region,
            endpoint_url=endpoint_url,
            config=Config(connect_timeout=5, read_timeout=POLL_S + 5),
        )

    async def receive(self) -> list[Told]:
        """What has come, waiting a little for it; it comes again unless it is deleted.

        Raises what boto3 raises.
        """
        told: list[Told] = await self._in_the_thread(self._receive)
        return told

    async def delete(self, told: Told) -> None:
        """Have it come no more. Raises what boto3 raises."""
        await self._in_the_thread(
            lambda: self._client.delete_message(QueueUrl=self._url, ReceiptHandle=told.receipt)
        )

    def close(self) -> None:
        """Let go of the connections."""
        self._thread.shutdown(wait=False, cancel_futures=True)
        self._client.close()

    def _receive(self) -> list[Told]:
        answer = self._client.receive_message(
            QueueUrl=self._url, MaxNumberOfMessages=MOST_AT_ONCE, WaitTimeSeconds=POLL_S
        )
        return [Told(one["Body"], one["ReceiptHandle"]) for one in answer.get("Messages", [])]

    async def _in_the_thread(self, call: Any) -> Any:  # noqa: ANN401  what boto3 answers
        return await asyncio.get_running_loop().run_in_executor(self._thread, call)


def is_transient(error: BaseException) -> bool:
    """Whether AWS is away or does not let us in: somebody mends it, and it works."""
    return isinstance(error, BotoCoreError | ClientError)
