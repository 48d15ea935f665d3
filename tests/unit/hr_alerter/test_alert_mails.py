"""The mails: what each level says, in text and HTML, whatever a rider is called."""

from datetime import UTC, datetime
from email.message import EmailMessage
from zoneinfo import ZoneInfo

import pytest

from deloton.heart_rate import OWN_LIMIT, AlertLevel, LimitPolicy, limits_of
from hr_alerter.alerts import ClaimedAlert
from hr_alerter.mails import CALL_FOR_HELP, compose

LONDON = ZoneInfo("Europe/London")
LOW, HIGH, CRITICAL = limits_of(67, LimitPolicy())


def a_mail(
    level: AlertLevel = AlertLevel.HIGH,
    *,
    bpm: int = 152,
    name: str | None = "Ada",
    rule: str | None = None,
    measured_at: datetime = datetime(2026, 3, 2, 9, 15, 2, tzinfo=UTC),
) -> EmailMessage:
    limit = {each.level: each for each in (LOW, HIGH, CRITICAL)}[level]
    facts = (bpm, limit.bpm, rule or limit.rule, name, "ada@example.com")
    return compose(
        ClaimedAlert(42, level, measured_at, *facts), "Deloton <alerts@deloton.example>", LONDON
    )


def parts(mail: EmailMessage) -> tuple[str, str]:
    """The text and the HTML."""
    text, html = mail.iter_parts()
    assert isinstance(text, EmailMessage)
    assert isinstance(html, EmailMessage)
    return text.get_content(), html.get_content()


def in_one_line(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.parametrize(
    ("level", "bpm", "subject"),
    [
        (AlertLevel.LOW, 44, "Your heart rate is unusually low: 44 bpm"),
        (AlertLevel.HIGH, 152, "Ease off: your heart rate is high, 152 bpm"),
        (AlertLevel.CRITICAL, 171, "Stop and rest now: your heart rate is very high, 171 bpm"),
    ],
)
def test_each_level_has_its_own_subject(level: AlertLevel, bpm: int, subject: str) -> None:
    assert a_mail(level, bpm=bpm)["Subject"] == subject


@pytest.mark.parametrize("level", AlertLevel)
@pytest.mark.parametrize("part", [0, 1])
def test_every_mail_says_what_was_seen_what_to_do_and_when_to_call(
    level: AlertLevel, part: int
) -> None:
    said = in_one_line(parts(a_mail(level))[part])
    for words in (
        "152", "09:15:02 on Monday 2 March 2026 (GMT)", "999 (", "no diagnosis",
        "heart rate", *CALL_FOR_HELP,
    ):  # fmt: skip
        assert words.lower() in said.lower()


def test_the_limit_is_explained_with_its_source() -> None:
    for said in map(in_one_line, parts(a_mail())):
        assert "145 bpm: 90 % of the expected maximum of 161.1 bpm" in said
        assert "208 − 0.7 × age, Tanaka et al. 2001" in said
        assert "Formulas give an average" in said


def test_an_own_limit_is_called_that_and_no_formula_is_told() -> None:
    for said in map(in_one_line, parts(a_mail(rule=OWN_LIMIT))):
        assert "145 bpm, the limit set for you" in said
        assert "Formulas" not in said
        assert "145 bpm: your own limit." in said


def test_times_are_those_of_the_riders_clock() -> None:
    summer = datetime(2026, 7, 1, 23, 30, tzinfo=UTC)
    assert "00:30:00 on Thursday 2 July 2026 (BST)" in parts(a_mail(measured_at=summer))[0]


def test_a_name_is_text_and_never_markup() -> None:
    text, html = parts(a_mail(name="<b>O'Neill</b> & {{ 7*7 }}"))
    assert "<b>O'Neill</b> & {{ 7*7 }}" in text
    assert "<b>O'Neill" not in html
    assert "&lt;b&gt;O&#39;Neill" in html


def test_without_a_name_there_is_no_greeting() -> None:
    for said in parts(a_mail(name=None)):
        assert "Hello" not in said


def test_a_repeated_mail_has_the_same_id() -> None:
    assert a_mail()["Message-ID"] == a_mail()["Message-ID"]
    assert a_mail()["Message-ID"] == "<heart-rate-alert-42@deloton.example>"


def test_lines_of_the_text_fit_a_narrow_window() -> None:
    for level in AlertLevel:
        assert max(map(len, parts(a_mail(level))[0].splitlines())) <= 76


def test_a_mail_stands_alone_without_anything_from_elsewhere() -> None:
    html = parts(a_mail())[1]
    for outside in ("http:", "https:", "<script", "<img", "<link"):
        assert outside not in html
