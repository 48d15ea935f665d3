"""EDGE: what the alerter reads from its environment."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from deloton.rules.calendar import PLAUSIBLE_AGES
from deloton.rules.heart_rate import LimitPolicy, MaximumPolicy, limits_of
from deloton.running.mail_url import check_mail_url
from deloton.running.settings import (
    AlertLinkSettings,
    DatabaseSettings,
    KafkaSettings,
    Mailbox,
    MailSettings,
    Number,
    Port,
    StopSettings,
    WebUrl,
)
from hr_alerter.episodes import EpisodeRules

Errors = Annotated[Number, Field(ge=-3, le=5)]
HoldSeconds = Annotated[int, Field(ge=1, le=120)]


class AlerterSettings(
    DatabaseSettings, KafkaSettings, MailSettings, AlertLinkSettings, StopSettings
):
    """The alerter's settings; `.env.example` says what each means and why its default is so."""

    alerter_group: str = "hr-alerter"
    metrics_port: Port = 9100
    session_timeout_s: Annotated[Number, Field(ge=1, le=300)] = 30.0
    broker_silent_from_s: Annotated[Number, Field(ge=1, le=300)] = 10.0

    alert_maximum: MaximumPolicy = MaximumPolicy.DELOTON
    alert_high_errors: Errors = 0.5
    alert_critical_errors: Errors = 2.75
    alert_low_bpm: Annotated[Number, Field(ge=20, le=100)] = 50.0
    alert_default_age: Annotated[int, Field(ge=18, le=90)] = 40
    alert_low_s: HoldSeconds = 15
    alert_high_s: HoldSeconds = 10
    alert_critical_s: HoldSeconds = 10
    alert_gap_s: Annotated[Number, Field(gt=1, le=600)] = 10.0
    alert_cool_down_s: Annotated[Number, Field(ge=0, le=604_800)] = 900.0
    alert_max_age_s: Annotated[Number, Field(ge=5, le=3_600)] = 120.0
    alert_reply_to: Mailbox | None = None
    alert_link_url: WebUrl | None = None

    mail_rate_per_s: Annotated[Number, Field(ge=0.1, le=10_000)] = 14.0
    mail_connections: Annotated[int, Field(ge=1, le=100)] = 10
    mail_answer_within_s: Annotated[Number, Field(ge=1, le=60)] = 10.0
    mail_feedback_queue_url: Annotated[str, Field(pattern=r"^https?://[^/]+/.+")] | None = None

    @model_validator(mode="after")
    def _has_limits_in_order(self) -> Self:
        if self.alert_high_errors > self.alert_critical_errors:
            raise ValueError("ALERT_HIGH_ERRORS must not be above ALERT_CRITICAL_ERRORS")
        for age in PLAUSIBLE_AGES:
            low, high, _ = limits_of(age, self.limit_policy())
            if low.bpm >= high.bpm:
                raise ValueError(
                    f"ALERT_LOW_BPM must be below high, which is {high.bpm:g} bpm at {age} years"
                )
        return self

    @model_validator(mode="after")
    def _has_feedback_of_ses_alone(self) -> Self:
        if self.mail_feedback_queue_url and not self.ses_region:
            raise ValueError("MAIL_FEEDBACK_QUEUE_URL needs mails to go by ses://")
        return self

    @model_validator(mode="after")
    def _has_links_whole(self) -> Self:
        if bool(self.alert_link_url) != bool(self.alert_link_keys):
            raise ValueError("ALERT_LINK_URL and ALERT_LINK_KEYS need each other")
        return self

    @property
    def ses_region(self) -> str | None:
        """The region of SES; None where mails go another way."""
        parts = check_mail_url(self.mail_url.get_secret_value())
        return parts.hostname if parts.scheme == "ses" else None

    def limit_policy(self) -> LimitPolicy:
        """Where limits lie."""
        return LimitPolicy(
            self.alert_maximum,
            self.alert_high_errors,
            self.alert_critical_errors,
            self.alert_low_bpm,
            self.alert_default_age,
        )

    def episode_rules(self) -> EpisodeRules:
        """What an episode is."""
        return EpisodeRules(
            self.alert_low_s, self.alert_high_s, self.alert_critical_s, self.alert_gap_s
        )
