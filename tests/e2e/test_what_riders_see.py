"""Mails and the page that their links lead to, on a phone in Chromium, by day and by night."""

from collections.abc import Iterator
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from zoneinfo import ZoneInfo

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser

from api.contract.alert_form import Limits, Wishes
from api.contract.alert_page import render_busy, render_closed, render_page
from deloton.rules.heart_rate import AlertLevel, LimitPolicy, Proof, limits_of
from hr_alerter.alerts import BegunAlert, MailKind
from hr_alerter.mails import compose
from tests.e2e.chromium import running_chromium

pytestmark = pytest.mark.system

AT = datetime(2026, 3, 2, 9, 15, 2, tzinfo=UTC)
LINK = "https://api.deloton.example/alerts/AAAAAAAAEmdp9G8WcMn2cJqfSAGioWLXIAefVw"
SENDER = Address("Deloton", addr_spec="alerts@deloton.example")
LIMITS = {limit.level: limit for limit in limits_of(67, LimitPolicy())}
ESCALATED = limits_of(67, LimitPolicy(), None, Proof(172, 5))[-1]


def a_mail(
    level: AlertLevel, kind: MailKind = MailKind.ALERT, rule: str = "", bpm: float = 0
) -> str:
    """Its HTML."""
    limit = LIMITS[level]
    facts = (195, bpm or limit.bpm, rule or limit.rule, "Ada", "ada@example.com")
    alert = BegunAlert(42, 4711, level, AT, AT, *facts, kind=kind)
    _, html = compose(alert, SENDER, ZoneInfo("Europe/London"), None, LINK).iter_parts()
    assert isinstance(html, EmailMessage)
    return str(html.get_content())


SUDDEN = LIMITS[AlertLevel.HIGH].after_a_jump()
OWN = Limits(None, 140, 155)
SEEN = {
    **{f"mail {level}": a_mail(level) for level in AlertLevel},
    **{f"mail over {level}": a_mail(level, MailKind.RECOVERY) for level in AlertLevel},
    "mail escalated": a_mail(AlertLevel.CRITICAL, rule=ESCALATED.rule, bpm=ESCALATED.bpm),
    "mail sudden": a_mail(AlertLevel.HIGH, rule=SUDDEN.rule, bpm=SUDDEN.bpm),
    "page": render_page(Wishes(alerts_on=True, limits=OWN)),
    "page off": render_page(Wishes(alerts_on=False, limits=Limits()), said="Done."),
    "page wrong": render_page(Wishes(alerts_on=True, limits=OWN), wrong="No such limits."),
    "page closed": render_closed(),
    "page busy": render_busy(),
}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with running_chromium() as chromium:
        yield chromium


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("seen", SEEN)
def test_it_fits_a_phone_and_bars_nobody(browser: Browser, seen: str, scheme: str) -> None:
    page = browser.new_page(viewport={"width": 375, "height": 760}, color_scheme=scheme)  # type: ignore[arg-type]
    page.set_content(SEEN[seen])
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.close()
