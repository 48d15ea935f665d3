"""EDGE: what the API reads from its environment."""

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from deloton.running.settings import AlertLinkSettings, DatabaseSettings, Port


def _store(url: str) -> str:
    parts = urlsplit(url)
    is_bucket = parts.scheme == "s3" and bool(parts.netloc) and parts.path in {"", "/"}
    is_folder = parts.scheme == "file" and not parts.netloc and len(parts.path) > 1
    if not (is_bucket or is_folder) or parts.query or parts.fragment:
        raise ValueError("must be like s3://bucket or file:///folder")
    return url


class ChangesSettings(DatabaseSettings):
    """What the API and the program that tells of changes have in common."""

    changes_retention_days: Annotated[int, Field(ge=1, le=3_650)] = 90
    webhook_private_hosts: str = ""

    @property
    def private_hosts(self) -> frozenset[str]:
        """Hosts that messages may go to wherever they are, also by plain HTTP."""
        hosts = (host.strip().lower() for host in self.webhook_private_hosts.split(","))
        return frozenset(host for host in hosts if host)


class WebhookSettings(ChangesSettings):
    """The settings of `python -m api.webhooks`."""

    metrics_port: Port = 9100


class ApiSettings(ChangesSettings, AlertLinkSettings):
    """The API's settings; `.env.example` says what each means."""

    port: Port = 8000
    api_database_connections: Annotated[int, Field(ge=1, le=100)] = 10
    api_processes: Annotated[int, Field(ge=1, le=64)] = 1
    statement_timeout_s: Annotated[float, Field(ge=0.1, le=300)] = 10.0
    export_store: Annotated[str, AfterValidator(_store)] | None = None
    # Where people open what lies in the bucket, if that is not where we reach it.
    export_open_url: str | None = None
    aws_region: str = "eu-west-2"
    aws_endpoint_url: str | None = None
