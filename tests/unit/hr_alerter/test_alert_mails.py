"""The mails: what each level says, in text and HTML, whatever a rider is called."""

import re
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from zoneinfo import ZoneInfo

import pytest

from deloton.rules.heart_rate import (
    OWN_LIMIT,
    SUDDEN,
    AlertLevel,
    LimitPolicy,
    Proof,
    limits_of,
)
from deloton.running.alert_links import AlertLinks
from deloton.wire.mail_messages import on_the_wire
from hr_alerter.alerts import BegunAlert, MailKind
from hr_alerter.mails import CALL_FOR_HELP, compose, make_composer

SENDER = Address("Deloton", addr_spec="alerts@deloton.example")
LONDON = ZoneInfo("Europe/London")
LOW, HIGH, CRITICAL = limits_of(67, LimitPolicy())


def a_mail(
    level: AlertLevel = AlertLevel.HIGH,
    *,
    bpm: int = 152,
    name: str | None = "Ada",
    rule: str | None = None,
    measured_at: datetime = datetime(2026, 3, 2, 9, 15, 2, tzinfo=UTC),
    reply_to: Address | None = None,
    link: str = "",
    numbers: tuple[int, int] = (42, 4711),
) -> EmailMessage:
    limit = {each.level: each for each in (LOW, HIGH, CRITICAL)}[level]
    facts = (bpm, limit.bpm, rule or limit.rule, name, "ada@example.com")
    alert_id, ride_id = numbers
    alert = BegunAlert(alert_id, ride_id, level, measured_at, measured_at, *facts)
    return compose(alert, SENDER, LONDON, reply_to, link)


LINK = AlertLinks(["k" * 32], "https://api.deloton.example").link_to(
    4711, "ada@example.com", datetime(2026, 3, 2, 9, 15, 2, tzinfo=UTC)
)


def test_a_way_out_stands_in_every_mail_and_mail_programs_offer_it_as_one_click() -> None:
    mail = a_mail(link=LINK)
    raw, _ = on_the_wire(mail)
    head = raw.partition(b"\r\n\r\n")[0].replace(b"\r\n ", b" ")
    assert b"List-Unsubscribe: <" + LINK.encode() + b">" in head
    assert b"List-Unsubscribe-Post: List-Unsubscribe=One-Click" in head
    text, html = parts(mail)
    assert f"\n{LINK}\n" in text
    assert f'href="{LINK}"' in html
    assert "Answer this mail" not in text + html


def test_the_link_of_a_mail_opens_for_the_address_that_the_mail_went_to() -> None:
    links = AlertLinks(["k" * 32], "https://api.deloton.example")
    moment = datetime(2026, 3, 2, 9, 15, 2, tzinfo=UTC)
    facts = (152, 150.0, "rule", "Ada", "ada@example.com")
    alert = BegunAlert(42, 4711, AlertLevel.HIGH, moment, moment, *facts)
    mail = make_composer(SENDER, None, LONDON, links)(alert)
    token = mail["List-Unsubscribe"].strip("<>").rpartition("/")[2]
    assert links.alert_of(token, datetime.now(UTC)) == 42
    assert links.opens(token, "ada@example.com")
    assert not links.opens(token, "bob@example.com")


def test_without_a_link_who_wants_no_more_answers() -> None:
    mail = a_mail()
    assert "List-Unsubscribe" not in mail
    assert all("Answer this mail, and we will see to it." in part for part in parts(mail))


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
        assert "166 bpm: 5 bpm more than the 161 bpm expected at the age of 67" in said
        assert "208 − 0.7 × age, Tanaka et al. 2001" in said
        assert "Formulas give an average" in said
        assert "deloton:" not in said


def test_an_own_limit_is_called_that_and_no_formula_is_told() -> None:
    for said in map(in_one_line, parts(a_mail(rule=OWN_LIMIT))):
        assert "166 bpm or more, the limit set for you" in said
        assert "Formulas" not in said
        assert "166 bpm: your own limit." in said


def test_what_the_heart_has_shown_before_is_explained_without_formulas() -> None:
    *_, critical = limits_of(67, LimitPolicy(), None, Proof(172, 5))
    for said in map(in_one_line, parts(a_mail(AlertLevel.CRITICAL, rule=critical.rule))):
        assert "20 bpm more than the 172 bpm that your heart held in an earlier ride" in said
        assert "Formulas" not in said


def a_relief(level: AlertLevel = AlertLevel.HIGH, link: str = "") -> EmailMessage:
    moment = datetime(2026, 3, 2, 9, 15, 2, tzinfo=UTC)
    facts = (118, 166.0, "x", "Ada", "ada@example.com")
    kind = MailKind.RECOVERY
    alert = BegunAlert(42, 4711, level, moment, moment, *facts, kind=kind)
    return compose(alert, SENDER, LONDON, None, link)


@pytest.mark.parametrize(
    ("level", "advice"),
    [
        (AlertLevel.LOW, "unusually low. If you felt weak or light-headed, stop for today"),
        (AlertLevel.HIGH, "was high. Do not push again in this ride"),
        (AlertLevel.CRITICAL, "very high. What we advised still holds: rest, and do not ride on"),
    ],
)
def test_back_to_normal_takes_nothing_back_of_what_was_advised(
    level: AlertLevel, advice: str
) -> None:
    for said in map(in_one_line, parts(a_relief(level))):
        assert "118 bpm" in said
        assert advice in said
        assert "Call 999 (or 112) all the same" in said
        assert "no diagnosis" in said


@pytest.mark.parametrize("level", AlertLevel)
def test_back_to_normal_lets_nobody_ride_on_and_wait_for_a_second_mail(level: AlertLevel) -> None:
    for said in map(in_one_line, parts(a_relief(level))):
        assert "We will not write about it again in this ride" in said
        assert "ride on" not in said.replace("do not ride on", "")


def test_back_to_normal_stands_in_the_alerts_thread_and_has_a_way_out() -> None:
    mail, alert = a_relief(AlertLevel.CRITICAL, LINK), a_mail(AlertLevel.CRITICAL, link=LINK)
    assert mail["Subject"] == "Back to normal: your heart rate is 118 bpm"
    assert mail["References"] == alert["References"] == mail["In-Reply-To"]
    assert mail["Message-ID"] == "<heart-rate-recovery-42@deloton.example>"
    assert mail["List-Unsubscribe"] == alert["List-Unsubscribe"]
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert mail["Importance"] is None
    assert LINK in parts(mail)[0]
    assert f'href="{LINK}"' in parts(mail)[1]
    assert max(map(len, parts(mail)[0].splitlines())) <= 76


@pytest.mark.parametrize("level", [AlertLevel.HIGH, AlertLevel.CRITICAL])
def test_a_heart_that_jumped_is_told_so(level: AlertLevel) -> None:
    for said in map(in_one_line, parts(a_mail(level, rule=SUDDEN))):
        assert "Your heart rate jumped within seconds, and stayed at" in said
        assert f"bpm: {SUDDEN}." in said
        assert "Formulas" not in said


def test_all_mails_about_one_ride_stand_in_one_thread() -> None:
    high = a_mail(AlertLevel.HIGH)
    critical = a_mail(AlertLevel.CRITICAL, numbers=(43, 4711))
    other = a_mail(numbers=(44, 4712))
    assert high["References"] == critical["References"] == critical["In-Reply-To"]
    assert high["Message-ID"] != critical["Message-ID"]
    assert other["References"] != high["References"]


def test_numbers_are_whole() -> None:
    for level in AlertLevel:
        for said in parts(a_mail(level)):
            assert not re.search(r"\d\.\d+ bpm", said)


def test_times_are_those_of_the_riders_clock() -> None:
    summer = datetime(2026, 7, 1, 23, 30, tzinfo=UTC)
    assert "00:30:00 on Thursday 2 July 2026 (BST)" in parts(a_mail(measured_at=summer))[0]


def test_a_name_is_text_and_never_markup() -> None:
    text, html = parts(a_mail(name="O'Neill"))
    assert "Hello O'Neill," in text
    assert "Hello O&#39;Neill," in html


def test_a_riders_own_message_goes_out_to_nobody() -> None:
    for said in parts(a_mail(name="Ada,\n\nyour account is locked: open https://evil.example\n\n")):
        assert "Hello" not in said
        assert "evil" not in said


def test_answers_go_where_somebody_reads_them() -> None:
    care = Address("Deloton care", addr_spec="care@deloton.example")
    assert a_mail(reply_to=care)["Reply-To"] == "Deloton care <care@deloton.example>"
    assert a_mail()["Reply-To"] is None


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
