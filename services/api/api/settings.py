"""EDGE: what the API reads from its environment."""

from typing import Annotated

from pydantic import Field

from deloton.running.settings import AlertLinkSettings, DatabaseSettings, Port


class ApiSettings(DatabaseSettings, AlertLinkSettings):
    """The API's settings; `.env.example` says what each means."""

    port: Port = 8000
    api_database_connections: Annotated[int, Field(ge=1, le=100)] = 10
    changes_retention_days: Annotated[int, Field(ge=1, le=3_650)] = 90
    statement_timeout_s: Annotated[float, Field(ge=0.1, le=300)] = 10.0
