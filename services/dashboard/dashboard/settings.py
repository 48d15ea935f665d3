"""EDGE: what the dashboard reads from its environment."""

from typing import Self

from pydantic import SecretStr, model_validator

from deloton.running.settings import DatabaseSettings, Port


class DashboardSettings(DatabaseSettings):
    """The dashboard's settings; `.env.example` says what each means."""

    port: Port = 8501
    dashboard_user: str | None = None
    dashboard_password: SecretStr | None = None
    dashboard_trusted_header: str | None = None
    dashboard_required_claim: str | None = None

    @model_validator(mode="after")
    def _has_one_way_in(self) -> Self:
        if (self.dashboard_user is None) != (self.dashboard_password is None):
            raise ValueError("DASHBOARD_USER and DASHBOARD_PASSWORD belong together")
        if self.dashboard_user is not None and self.dashboard_trusted_header is not None:
            raise ValueError("give DASHBOARD_USER or DASHBOARD_TRUSTED_HEADER, not both")
        if self.dashboard_user is not None and ":" in self.dashboard_user:
            raise ValueError("DASHBOARD_USER may hold no colon")
        claim = self.dashboard_required_claim
        if claim is not None and not all(claim.partition("=")):
            raise ValueError("DASHBOARD_REQUIRED_CLAIM is a claim and its value, like groups=staff")
        return self
