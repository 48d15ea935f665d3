"""What the alerter reads from its environment."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from deloton.heart_rate import LimitPolicy, MaximumPolicy
from deloton.settings import DatabaseSettings, KafkaSettings, MailSettings, Port
from hr_alerter.episodes import EpisodeRules

Share = Annotated[float, Field(gt=0, le=1.5)]


class AlerterSettings(DatabaseSettings, KafkaSettings, MailSettings):
    """The alerter's settings; `.env.example` says what each means and why its default is so."""

    alerter_group: str = "hr-alerter"
    metrics_port: Port = 9100
    session_timeout_s: Annotated[float, Field(ge=1, le=300)] = 30.0

    alert_maximum: MaximumPolicy = MaximumPolicy.DELOTON
    alert_high_share: Share = 0.9
    alert_critical_share: Share = 1.0
    alert_low_bpm: Annotated[float, Field(ge=20, le=100)] = 50.0
    alert_default_age: Annotated[int, Field(ge=18, le=90)] = 40
    alert_readings: Annotated[int, Field(ge=1, le=600)] = 3
    alert_gap_s: Annotated[float, Field(gt=1, le=600)] = 10.0
    alert_cool_down_s: Annotated[float, Field(ge=0)] = 900.0
    alert_max_age_s: Annotated[float, Field(gt=0)] = 120.0

    mail_rate_per_s: Annotated[float, Field(gt=0)] = 14.0
    mail_connections: Annotated[int, Field(ge=1, le=100)] = 10
    mail_attempts: Annotated[int, Field(ge=1, le=100)] = 12

    @model_validator(mode="after")
    def _has_limits_in_order(self) -> Self:
        if self.alert_high_share > self.alert_critical_share:
            raise ValueError("ALERT_HIGH_SHARE must not be above ALERT_CRITICAL_SHARE")
        return self

    def limit_policy(self) -> LimitPolicy:
        """Where limits lie."""
        return LimitPolicy(
            self.alert_maximum,
            self.alert_high_share,
            self.alert_critical_share,
            self.alert_low_bpm,
            self.alert_default_age,
        )

    def episode_rules(self) -> EpisodeRules:
        """What an episode is."""
        return EpisodeRules(self.alert_readings, self.alert_gap_s)
