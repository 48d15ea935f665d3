"""CORE: an alert to the mail that tells its rider what was seen, what to do, when to call for help.

What to do follows the NHS's public advice on heart palpitations, heart attacks and strokes, and
the American Heart Association's on exercising with a high heart rate, in plain words.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Final
from zoneinfo import ZoneInfo

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from msgspec import Struct

from deloton.rules.heart_rate import FORMULA_WORDS, OWN_LIMIT, SUDDEN, AlertLevel
from deloton.running.addresses import greeting_name
from deloton.running.alert_links import AlertLinks
from deloton.showing import palette
from hr_alerter.alerts import BegunAlert, MailKind


class Advice(Struct, frozen=True):
    """What a level's mail says; `{bpm}` and `{limit}` are filled in.

    `lead_own` is the lead where the limit is the rider's own, `lead_sudden` where the heart jumped;
    `note` is told of limits that are not the rider's own; without one, what a formula is worth.
    """

    subject: str
    headline: str
    lead: str
    lead_own: str
    lead_sudden: str
    note: str
    steps: tuple[str, ...]


# Nes et al. 2013: a standard error of 10.8 bpm.
AVERAGES: Final = (
    "Formulas give an average: many healthy people differ from it by ten bpm and more. The more "
    "rides of yours end well, the better we know what your heart can do."
)

ADVICE: Final = {
    AlertLevel.LOW: Advice(
        "Your heart rate is unusually low: {bpm} bpm",
        "Your heart rate is unusually low",
        "While you were pedalling, your heart rate stayed below {limit} bpm. "
        "That is unusual during exercise.",
        "While you were pedalling, your heart rate stayed below {limit} bpm, the limit set for "
        "you.",
        "",
        "Trained hearts often beat that slowly at rest, but hardly ever during exercise.",
        (
            "Stop pedalling, stay seated and hold on until you feel steady.",
            "Check that both hands lie flat on the sensors: a loose grip can read too low.",
            "Feel the pulse at your wrist for 30 seconds and double the count.",
            "If it really is that low, do not ride on today and speak to your GP.",
            "If you feel weak or light-headed, call NHS 111.",
        ),
    ),
    AlertLevel.HIGH: Advice(
        "Ease off: your heart rate is high, {bpm} bpm",
        "Ease off: your heart rate is high",
        "Your heart rate stayed at {limit} bpm or more. That is more than we expect of your heart "
        "in a hard ride.",
        "Your heart rate stayed at {limit} bpm or more, the limit set for you.",
        "Your heart rate jumped within seconds, and stayed at {limit} bpm or more.",
        "",
        (
            "Turn the resistance down and pedal gently.",
            "Breathe slowly and steadily, and drink some water.",
            "Wait until your heart rate has clearly come down before you push again.",
            "If it is still high after five minutes, stop for today.",
        ),
    ),
    AlertLevel.CRITICAL: Advice(
        "Stop and rest now: your heart rate is very high, {bpm} bpm",
        "Stop and rest now",
        "Your heart rate stayed at {limit} bpm or more: far more than we expect of your heart at "
        "its hardest.",
        "Your heart rate stayed at {limit} bpm or more, the critical limit set for you.",
        "Your heart rate jumped within seconds, and stayed at {limit} bpm or more.",
        "",
        (
            "Stop pushing now. Let your legs spin down for half a minute, then get off and sit.",
            "Tell somebody near you that you are not riding on.",
            "Breathe slowly, and rest until your pulse is back to normal. Do not ride on today.",
            "If your heart still races after ten minutes of rest, call NHS 111.",
        ),
    ),
}


class Relief(Struct, frozen=True):
    """What the mail says that is sent once the danger is over, after what a level's mail advised.

    `before` names what the rider was told.
    """

    before: str
    advice: str


RELIEF_SUBJECT: Final = "Back to normal: your heart rate is {bpm} bpm"
RELIEF_LEAD: Final = (
    "Your heart rate has come back well within your limits, and has been measured there for a "
    "minute."
)
RELIEF: Final = {
    AlertLevel.LOW: Relief(
        "your heart rate was unusually low",
        "If you felt weak or light-headed, stop for today and speak to your GP, even though it "
        "has passed.",
    ),
    AlertLevel.HIGH: Relief(
        "your heart rate was high",
        "Do not push again in this ride: pedal gently until you stop.",
    ),
    AlertLevel.CRITICAL: Relief(
        "your heart rate was very high",
        "What we advised still holds: rest, and do not ride on today.",
    ),
}
# One mail a ride and level: whoever reads that all is well must not rely on hearing of us again.
ONCE: Final = (
    "Watch it yourself from here: if it happens again, stop and rest. We will not write about it "
    "again in this ride."
)
CALL_ALL_THE_SAME: Final = (
    "Call 999 (or 112) all the same for pain in your chest, shortness of breath that rest does not "
    "ease, fainting, sudden confusion or weakness."
)

CALL_FOR_HELP: Final = (
    "pain or tightness in your chest, or pain that spreads to an arm, your neck, jaw or back",
    "shortness of breath that rest does not ease",
    "you faint, or feel that you are about to",
    "sudden confusion, slurred speech, or weakness of the face or an arm",
)

# Colours of each level's headline bar; white text on them has a contrast of 4.5 and more.
_BARS: Final = {
    AlertLevel.LOW: palette.BLUE,
    AlertLevel.HIGH: palette.DARK_ORANGE,
    AlertLevel.CRITICAL: palette.ALERT_COLOURS["critical"],
}

_RELIEF_BAR: Final = palette.DARK_GREEN

_TEMPLATES: Final = Environment(
    loader=PackageLoader("hr_alerter"),
    autoescape=select_autoescape(["html"]),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)


def make_composer(
    mail_from: Address, reply_to: Address | None, zone: ZoneInfo, links: AlertLinks | None = None
) -> Callable[[BegunAlert], EmailMessage]:
    """What turns alerts into mails from this sender, answered there, with times in this zone.

    `links` make the way out of them; None: who wants no more has to answer.
    """

    def compose_mail(alert: BegunAlert) -> EmailMessage:
        return compose(alert, mail_from, zone, reply_to, _link_of(alert, links))

    return compose_mail


def _link_of(alert: BegunAlert, links: AlertLinks | None) -> str:
    if links is None or alert.email is None:
        return ""
    return links.link_to(alert.alert_id, alert.email, datetime.now(UTC))


def compose(
    alert: BegunAlert,
    mail_from: Address,
    zone: ZoneInfo,
    reply_to: Address | None = None,
    link: str = "",
) -> EmailMessage:
    """The mail about an alert, or about its end, in plain text and in HTML.

    Who answers it writes to `reply_to`.

    `link` is the page on which the rider changes what is mailed; mail programs offer it as one
    click (RFC 8058).

    The same alert always gives the same `Message-ID`: mail programs show a repeated mail once. All
    mails about one ride refer to it, so that they stand in one thread.
    """
    is_over = alert.kind is MailKind.RECOVERY
    facts = _facts_of_relief(alert) if is_over else _facts_of_alert(alert)
    facts |= _facts_of_both(alert, zone, link)
    mail = EmailMessage()
    mail["From"] = mail_from
    if reply_to:
        mail["Reply-To"] = reply_to
    mail["To"] = alert.email
    mail["Subject"] = facts["subject"]
    mail["Date"] = format_datetime(alert.seen_at)
    mail["Message-ID"] = f"<heart-rate-{alert.kind}-{alert.alert_id}@{mail_from.domain}>"
    thread = f"<heart-rate-of-ride-{alert.ride_id}@{mail_from.domain}>"
    mail["In-Reply-To"] = thread
    mail["References"] = thread
    mail["Auto-Submitted"] = "auto-generated"
    if link:
        mail["List-Unsubscribe"] = f"<{link}>"
        mail["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    if alert.level is AlertLevel.CRITICAL and not is_over:
        mail["Importance"] = "high"
    mail.set_content(_TEMPLATES.get_template(f"{alert.kind}.txt").render(facts))
    html = _TEMPLATES.get_template(f"{alert.kind}.html").render(facts)
    mail.add_alternative(html, subtype="html")
    return mail


def _facts_of_both(alert: BegunAlert, zone: ZoneInfo, link: str) -> dict[str, object]:
    return {
        "bpm": alert.heart_rate_bpm,
        "name": greeting_name(alert.first_name),
        "measured": readable_time(alert.seen_at.astimezone(zone)),
        "link": link,
        "colours": palette,
    }


def _facts_of_relief(alert: BegunAlert) -> dict[str, object]:
    relief = RELIEF[alert.level]
    return {
        "subject": RELIEF_SUBJECT.format(bpm=alert.heart_rate_bpm),
        "headline": "Back to normal",
        "lead": RELIEF_LEAD,
        "before": relief.before,
        "advice": relief.advice,
        "once": ONCE,
        "call": CALL_ALL_THE_SAME,
        "bar": _RELIEF_BAR,
    }


def _facts_of_alert(alert: BegunAlert) -> dict[str, object]:
    advice = ADVICE[alert.level]
    is_own = alert.limit_rule == OWN_LIMIT
    lead = advice.lead_own if is_own else advice.lead
    if alert.limit_rule == SUDDEN:
        lead = advice.lead_sudden
    figures = {"bpm": alert.heart_rate_bpm, "limit": round(alert.limit_bpm)}
    return {
        "limit": figures["limit"],
        "subject": advice.subject.format(**figures),
        "headline": advice.headline,
        "lead": lead.format(**figures),
        "steps": advice.steps,
        "signs": CALL_FOR_HELP,
        "rule": alert.limit_rule,
        "note": "" if is_own else advice.note or _worth_of(alert.limit_rule),
        "bar": _BARS[alert.level],
    }


def _worth_of(limit_rule: str) -> str:
    """What has to be known of a limit that a formula gives; of what a heart has shown, nothing."""
    return AVERAGES if any(words in limit_rule for words in FORMULA_WORDS.values()) else ""


def readable_time(moment: datetime) -> str:
    """`09:15:02 on Monday 2 March 2026 (GMT)`."""
    return f"{moment:%H:%M:%S} on {moment:%A} {moment.day} {moment:%B %Y} ({moment:%Z})"
