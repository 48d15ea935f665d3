"""The alerter's settings, and the limits they come to for a rider."""

from datetime import date

import pytest

from deloton.errors import SettingsError
from deloton.rules.heart_rate import LimitPolicy, MaximumPolicy, OwnLimits
from hr_alerter.episodes import EpisodeRules
from hr_alerter.settings import AlerterSettings
from hr_alerter.store import WhoRides
from hr_alerter.watcher import limits_for

NEEDED = {
    "DATABASE_URL": "postgresql://db",
    "KAFKA_BOOTSTRAP_SERVERS": "kafka:9092",
    "MAIL_URL": "ses://eu-west-2",
    "MAIL_FROM": "Deloton <alerts@deloton.example>",
}
RODE_ON = date(2026, 3, 2)


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name, value in NEEDED.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def test_all_that_is_missing_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NEEDED:
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(SettingsError) as caught:
        AlerterSettings.from_environment()
    assert all(name in str(caught.value) for name in NEEDED)


def test_the_defaults_are_those_of_the_rules(environment: pytest.MonkeyPatch) -> None:
    settings = AlerterSettings.from_environment()
    assert settings.limit_policy() == LimitPolicy()
    assert settings.episode_rules() == EpisodeRules()


def test_policy_and_thresholds_come_from_the_environment(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("ALERT_MAXIMUM", "fox")
    environment.setenv("ALERT_HIGH_ERRORS", "1.5")
    environment.setenv("ALERT_CRITICAL_S", "12")
    settings = AlerterSettings.from_environment()
    policy = settings.limit_policy()
    assert (policy.maximum, policy.high_errors) == (MaximumPolicy.FOX, 1.5)
    assert settings.episode_rules().critical_s == 12


def test_high_above_critical_is_refused(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("ALERT_HIGH_ERRORS", "3")
    with pytest.raises(SettingsError, match="ALERT_HIGH_ERRORS must not be above"):
        AlerterSettings.from_environment()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ALERT_COOL_DOWN_S", "inf"), ("ALERT_MAX_AGE_S", "inf"), ("MAIL_RATE_PER_S", "inf"),
        ("MAIL_RATE_PER_S", "0.0001"), ("MAIL_ANSWER_WITHIN_S", "nan"), ("STOP_TIMEOUT_S", "0"),
        ("MAIL_URL", "ses://"), ("MAIL_URL", "smtp://a:70000"), ("METRICS_PORT", "70000"),
        ("ALERT_LINK_URL", "https://api.deloton.example"), ("ALERT_LINK_KEYS", "k" * 32),
        ("ALERT_LINK_KEYS", f"{'k' * 32},short"), ("ALERT_LINK_URL", "api.deloton.example"),
        ("MAIL_FEEDBACK_QUEUE_URL", "feedback"), ("BROKER_SILENT_FROM_S", "0"),
        ("MAIL_FROM", "Example, Zoe <a@example.com>"), ("ALERT_REPLY_TO", "nobody"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_a_sentence(
    environment: pytest.MonkeyPatch, name: str, value: str
) -> None:
    environment.setenv(name, value)
    with pytest.raises(SettingsError, match=name):
        AlerterSettings.from_environment()


def test_a_feedback_queue_without_ses_is_a_sentence(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("MAIL_URL", "smtp://mail:25")
    environment.setenv("MAIL_FEEDBACK_QUEUE_URL", "https://sqs.eu-west-2.amazonaws.com/1/q")
    with pytest.raises(SettingsError, match="MAIL_FEEDBACK_QUEUE_URL needs mails to go by ses"):
        AlerterSettings.from_environment()


def test_links_have_their_keys_in_order_and_no_repr_shows_them(
    environment: pytest.MonkeyPatch,
) -> None:
    environment.setenv("ALERT_LINK_URL", "https://api.deloton.example")
    environment.setenv("ALERT_LINK_KEYS", f"{'n' * 32}, {'o' * 32}")
    settings = AlerterSettings.from_environment()
    assert settings.link_keys == ["n" * 32, "o" * 32]
    assert "nnnn" not in repr(settings)


def test_high_below_low_at_any_age_is_refused(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("ALERT_LOW_BPM", "100")
    environment.setenv("ALERT_HIGH_ERRORS", "-3")
    with pytest.raises(SettingsError, match="ALERT_LOW_BPM must be below high"):
        AlerterSettings.from_environment()


@pytest.mark.parametrize(
    ("born_on", "own", "bpm"),
    [
        (date(1959, 3, 2), OwnLimits(), (50, 166, 191)),
        (date(1959, 3, 3), OwnLimits(), (50, 167, 192)),
        (None, OwnLimits(), (50, 191, 215)),
        (date(1959, 3, 2), OwnLimits(45, 130, 150), (45, 130, 150)),
        (date(1959, 3, 2), OwnLimits(alerts_on=False), ()),
    ],
)
def test_a_rides_limits_follow_from_birthday_and_own_limits(
    born_on: date | None, own: OwnLimits, bpm: tuple[float, ...]
) -> None:
    who = WhoRides(1, RODE_ON, born_on, own)
    assert tuple(limit.bpm for limit in limits_for(who, LimitPolicy())) == bpm


def test_a_ride_that_is_gone_has_no_limits() -> None:
    assert limits_for(None, LimitPolicy()) == ()
