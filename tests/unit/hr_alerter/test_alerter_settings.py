"""The alerter's settings, and the limits they come to for a rider."""

from datetime import date

import pytest

from deloton.errors import SettingsError
from deloton.heart_rate import LimitPolicy, MaximumPolicy, OwnLimits
from hr_alerter.app import limits_for
from hr_alerter.episodes import EpisodeRules
from hr_alerter.settings import AlerterSettings
from hr_alerter.store import WhoRides

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
    environment.setenv("ALERT_HIGH_SHARE", "0.85")
    policy = AlerterSettings.from_environment().limit_policy()
    assert (policy.maximum, policy.high_share) == (MaximumPolicy.FOX, 0.85)


def test_high_above_critical_is_refused(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("ALERT_HIGH_SHARE", "1.1")
    with pytest.raises(SettingsError, match="ALERT_HIGH_SHARE must not be above"):
        AlerterSettings.from_environment()


@pytest.mark.parametrize(
    ("born_on", "own", "bpm"),
    [
        (date(1959, 3, 2), OwnLimits(), (50, 145, 161.1)),
        (date(1959, 3, 3), OwnLimits(), (50, 145.6, 161.8)),
        (None, OwnLimits(), (50, 166.9, 185.4)),
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
