"""EDGE: what the ingestor reads from its environment."""

from typing import Annotated

from pydantic import Field

from deloton.running.settings import DatabaseSettings, KafkaSettings, Port


class IngestorSettings(DatabaseSettings, KafkaSettings):
    """The ingestor's settings; `.env.example` says what each means."""

    consumer_group: str = "ingestor"
    metrics_port: Port = 9100
    readings_retention_days: Annotated[int, Field(ge=0, le=36_500)] = 0
    # None: not at all. Rows stay beside a packed ride as yet: packing costs more than it saves.
    pack_after_s: Annotated[float, Field(ge=0, le=86_400)] | None = None
    # A worker that has been silent this long loses its partitions to the others.
    session_timeout_s: Annotated[float, Field(ge=1, le=300)] = 30.0
    # Together they bound the memory: what lies fetched, and what is worked on at once.
    fetch_bytes: Annotated[int, Field(ge=65_536)] = 1_048_576
    batch_records: Annotated[int, Field(ge=1)] = 20_000
