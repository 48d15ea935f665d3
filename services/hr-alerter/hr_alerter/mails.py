"""CORE: an alert to the mail that tells its rider what was seen, what to do, when to call for help.

What to do follows the NHS's public advice on heart palpitations, heart attacks and strokes, and
the American Heart Association's on exercising with a high heart rate, in plain words.
"""

from collections.abc import Callable
from datetime import datetime
from email.message import EmailMessage
from email.utils import format_datetime, parseaddr
from typing import Final
from zoneinfo import ZoneInfo

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from msgspec import Struct

from deloton import palette
from deloton.heart_rate import OWN_LIMIT, AlertLevel
from hr_alerter.alerts import ClaimedAlert


class Advice(Struct, frozen=True):
    """What a level's mail says; `{bpm}` and `{limit}` are filled in.

    `lead_own` is the lead where the limit is the rider's own; `note` is told of the others.
    """

    subject: str
    headline: str
    lead: str
    lead_own: str
    note: str
    steps: tuple[str, ...]


# Nes et al. 2013: a standard error of 10.8 bpm.
AVERAGES: Final = (
    "Formulas give an average: many healthy people differ from it by ten bpm and more."
)

ADVICE: Final = {
    AlertLevel.LOW: Advice(
        "Your heart rate is unusually low: {bpm} bpm",
        "Your heart rate is unusually low",
        "While you were riding, your heart rate stayed below {limit} bpm. "
        "That is unusual during exercise.",
        "While you were riding, your heart rate stayed below {limit} bpm, the limit set for you.",
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
        "Your heart rate stayed at or above {limit} bpm. From there on your heart works close to "
        "the most that is expected of it.",
        "Your heart rate stayed at or above {limit} bpm, the limit set for you.",
        AVERAGES,
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
        "Your heart rate is very high: it stayed at or above {limit} bpm, beyond what is expected "
        "of your heart at its hardest.",
        "Your heart rate stayed at or above {limit} bpm, the critical limit set for you.",
        AVERAGES,
        (
            "Stop pushing now. Let your legs spin down for half a minute, then get off and sit.",
            "Tell somebody near you that you are not riding on.",
            "Breathe slowly, and rest until your pulse is back to normal. Do not ride on today.",
            "If your heart still races after ten minutes of rest, call NHS 111.",
        ),
    ),
}

CALL_FOR_HELP: Final = (
    "pain or tightness in your chest, or pain that spreads to an arm, your neck, jaw or back",
    "shortness of breath that rest does not ease",
    "you faint, or feel that you are about to",
    "sudden confusion, slurred speech, or weakness of the face or an arm",
)

# Colours of each level's headline bar; white text on them has a contrast of 4.5 and more.
_BARS: Final = {
    AlertLevel.LOW: palette.BLUE,
    AlertLevel.HIGH: "#8F5A00",
    AlertLevel.CRITICAL: palette.ALERT_COLOURS["critical"],
}

_TEMPLATES: Final = Environment(
    loader=PackageLoader("hr_alerter"),
    autoescape=select_autoescape(["html"]),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)


def make_composer(mail_from: str, zone: ZoneInfo) -> Callable[[ClaimedAlert], EmailMessage]:
    """What turns alerts into mails from this sender, with times in this zone."""

    def compose_mail(alert: ClaimedAlert) -> EmailMessage:
        return compose(alert, mail_from, zone)

    return compose_mail


def compose(alert: ClaimedAlert, mail_from: str, zone: ZoneInfo) -> EmailMessage:
    """The mail about an alert, in plain text and in HTML.

    The same alert always gives the same `Message-ID`: mail programs show a repeated mail once.
    """
    facts = _facts_of(alert, zone)
    mail = EmailMessage()
    mail["From"] = mail_from
    mail["To"] = alert.email
    mail["Subject"] = facts["subject"]
    mail["Date"] = format_datetime(alert.measured_at)
    domain = parseaddr(mail_from)[1].rpartition("@")[2]
    mail["Message-ID"] = f"<heart-rate-alert-{alert.alert_id}@{domain}>"
    mail["Auto-Submitted"] = "auto-generated"
    if alert.level is AlertLevel.CRITICAL:
        mail["Importance"] = "high"
    mail.set_content(_TEMPLATES.get_template("alert.txt").render(facts))
    mail.add_alternative(_TEMPLATES.get_template("alert.html").render(facts), subtype="html")
    return mail


def _facts_of(alert: ClaimedAlert, zone: ZoneInfo) -> dict[str, object]:
    advice = ADVICE[alert.level]
    is_own = alert.limit_rule == OWN_LIMIT
    figures = {"bpm": alert.heart_rate_bpm, "limit": f"{alert.limit_bpm:g}"}
    return {
        **figures,
        "subject": advice.subject.format(**figures),
        "headline": advice.headline,
        "lead": (advice.lead_own if is_own else advice.lead).format(**figures),
        "steps": advice.steps,
        "signs": CALL_FOR_HELP,
        "name": alert.first_name,
        "measured": readable_time(alert.measured_at.astimezone(zone)),
        "rule": alert.limit_rule,
        "note": "" if is_own else advice.note,
        "bar": _BARS[alert.level],
        "colours": palette,
    }


def readable_time(moment: datetime) -> str:
    """`09:15:02 on Monday 2 March 2026 (GMT)`."""
    return f"{moment:%H:%M:%S} on {moment:%A} {moment.day} {moment:%B %Y} ({moment:%Z})"
