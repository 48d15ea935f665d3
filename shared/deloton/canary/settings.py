"""EDGE: what the canary reads from its environment."""

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from deloton.running.settings import KafkaSettings, Mailbox, Number, Port


def _inbox_url(url: str) -> str:
    parts = urlsplit(url)
    is_queue = parts.scheme == "sqs" and len(parts.path.strip("/").split("/")) == 2  # noqa: PLR2004
    is_server = parts.scheme in {"http", "https"} and bool(parts.hostname)
    is_folder = parts.scheme == "file" and bool(parts.path.strip("/"))
    if not (is_queue or is_server or is_folder):
        raise ValueError(
            "an inbox is file:///<folder>, http://<host> or sqs://<region>/<account>/<queue>"
        )
    return url


class CanarySettings(KafkaSettings):
    """The canary's settings; `.env.example` says what each means and why its default is so."""

    metrics_port: Port = 9100
    aws_endpoint_url: str | None = None
    canary_inbox: Annotated[str, AfterValidator(_inbox_url)]
    canary_mailbox: Mailbox
    canary_every_s: Annotated[Number, Field(ge=1, le=3600)] = 300.0
    canary_patience_s: Annotated[Number, Field(ge=10, le=600)] = 180.0
