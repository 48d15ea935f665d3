"""The mail to the CEO: its headline readable anywhere, its pictures its own, its PDF attached."""

import re
from email.headerregistry import Address
from email.message import EmailMessage

from deloton.running.addresses import parse_addresses
from reporter.archive import by_year, key_stem
from reporter.message import compose_failure, compose_report, mail_page
from tests.unit.reporter.summaries import a_full_summary, an_empty_summary

PDF = b"%PDF-1.4 ..."


def composed(reply_to: str | None = None, **changes: object) -> EmailMessage:
    return compose_report(
        a_full_summary(**changes),  # type: ignore[arg-type]
        PDF,
        sender=Address("Deloton", addr_spec="hello@deloton.example"),
        recipients=parse_addresses("Zoë Chief <ceo@deloton.example>, board@deloton.example"),
        reply_to=parse_addresses(reply_to)[0] if reply_to else None,
    )


def part(message: EmailMessage, kind: str) -> str:
    body = message.get_body((kind,))
    assert body is not None
    return str(body.get_content())


def test_the_mail_is_text_and_html_with_a_picture_and_the_pdf() -> None:
    kinds = [each.get_content_type() for each in composed().walk()]
    assert kinds == [
        "multipart/mixed",
        "multipart/alternative",
        "text/plain",
        "multipart/related",
        "text/html",
        "image/png",
        "application/pdf",
    ]


def test_both_bodies_hold_every_figure_of_the_headline() -> None:
    message = composed()
    for body in (part(message, "plain"), part(message, "html")):
        for told in ("Tuesday 10 March 2026", "3,400", "1,700", "163 MW", "120 W", "127 bpm"):
            assert told in body
        assert "+13\u00a0% on the day before" in body


def test_pictures_come_with_the_mail_and_are_described() -> None:
    message = composed()
    html = part(message, "html")
    [picture] = re.findall(r"<img [^>]*>", html)
    assert 'src="cid:rides@deloton"' in picture
    assert 'alt="Bar chart of rides by the hour: 23:00 had the most, 164."' in picture
    [png] = [each for each in message.walk() if each.get_content_type() == "image/png"]
    assert png["Content-ID"] == "<rides@deloton>"
    assert png.get_content().startswith(b"\x89PNG")
    assert "data:" not in html


def test_nothing_is_fetched_and_a_program_that_drops_the_style_sheet_loses_little() -> None:
    html = part(composed(), "html")
    assert "http" not in html
    styled = re.findall(r'<[^>]* class="[^>]*>', html)
    assert styled
    assert [element for element in styled if ' style="' not in element] == []


def test_a_day_without_rides_has_no_picture() -> None:
    message = compose_report(
        an_empty_summary(before=20), PDF, sender=Address(addr_spec="a@b.example"),
        recipients=[Address(addr_spec="c@d.example")],
        reply_to=None,
    )  # fmt: skip
    assert "<img" not in part(message, "html")
    assert "Nobody rode on this day. The day before had 20 rides." in part(message, "plain")
    assert message["Reply-To"] is None


def test_who_gets_it_who_sends_it_and_who_is_answered() -> None:
    message = composed("Analysts <analysts@deloton.example>")
    assert [one.username for one in message["To"].addresses] == ["ceo", "board"]
    assert message["To"].addresses[0].display_name == "Zoë Chief"
    assert message["Reply-To"] == "Analysts <analysts@deloton.example>"
    assert message["Auto-Submitted"] == "auto-generated"


def test_a_towns_name_is_no_markup_in_the_page() -> None:
    groups = [a_full_summary().genders[0]]
    page = mail_page(a_full_summary(genders=groups), None)
    assert "Rides by gender: Female" in page


def test_operations_are_told_what_why_and_what_to_do() -> None:
    message = compose_failure(
        "daily report of 2026-03-10", "the mail was not accepted: MessageRejected", "Run it again.",
        sender=Address(addr_spec="a@b.example"), recipients=[Address(addr_spec="ops@b.example")],
    )  # fmt: skip
    assert message["Subject"] == "Deloton: the daily report of 2026-03-10 needs somebody"
    assert "MessageRejected" in message.get_content()
    assert "Run it again." in message.get_content()


def test_reports_are_filed_by_day_and_by_week_of_the_year() -> None:
    assert key_stem(a_full_summary()) == "reports/2026/03/10"
    assert key_stem(a_full_summary(weekly=True)) == "reports/2026/week-11"


def test_the_index_lists_days_and_weeks_newest_first_and_nothing_else() -> None:
    names = ["2025/12/31", "2026/03/09", "2026/03/10", "2026/week-11", "2026/week-10"]
    keys = [f"reports/{name}.{end}" for name in names for end in ("pdf", "html", "json")]
    assert by_year([*keys, "reports/index.html", "reports/2026/notes.pdf"]) == {
        "2026": {
            "weeks": [("Week 11", "2026/week-11"), ("Week 10", "2026/week-10")],
            "days": [("2026-03-10", "2026/03/10"), ("2026-03-09", "2026/03/09")],
        },
        "2025": {"days": [("2025-12-31", "2025/12/31")]},
    }
