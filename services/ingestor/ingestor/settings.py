"""EDGE: what the ingestor reads from its environment."""

from typing import Annotated, Literal

from pydantic import Field

from deloton.running.settings import DatabaseSettings, KafkaSettings, Port


class IngestorSettings(DatabaseSettings, KafkaSettings):
    """The ingestor's settings; `.env.example` says what each means."""

    consumer_group: str = "ingestor"
    metrics_port: Port = 9100
    readings_retention_days: Annotated[int, Field(ge=0, le=36_500)] = 0
    # Most rides that go on after their end do so within a minute, and are packed once that way.
    pack_after_s: Annotated[float, Field(ge=0, le=86_400)] | Literal["never"] = 60.0
    # Rows are quicker to amend, and what is amended is so within hours; a day of them is dropped
    # so long after its midnight.
    readings_hot_hours: Annotated[float, Field(ge=0, le=876_000)] = 12.0
    # A worker that has been silent this long loses its partitions to the others.
    session_timeout_s: Annotated[float, Field(ge=1, le=300)] = 30.0
    # Together they bound the memory: what lies fetched, and what is worked on at once.
    fetch_bytes: Annotated[int, Field(ge=65_536)] = 1_048_576
    batch_records: Annotated[int, Field(ge=1)] = 20_000
