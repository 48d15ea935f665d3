"""CORE: a report → the mail that brings it: the headline in its body, the PDF attached."""

from collections.abc import Sequence
from email.headerregistry import Address
from email.message import EmailMessage
from typing import Final

from reporter import charts, formats, wording
from reporter.document import fill
from reporter.summary import Summary

_CHART_ID: Final = "rides@deloton"


def compose_report(
    summary: Summary,
    pdf: bytes,
    *,
    sender: Address,
    recipients: Sequence[Address],
    reply_to: Address | None,
) -> EmailMessage:
    """The mail to the CEO: text, HTML with the rides' chart, and the PDF."""
    message = _addressed(sender, recipients, _subject(summary))
    if reply_to:
        message["Reply-To"] = reply_to
    message.set_content(fill("report.txt", summary=summary))
    chart = chart_of(summary)
    message.add_alternative(mail_page(summary, f"cid:{_CHART_ID}" if chart else None), "html")
    if chart:
        *_, html = message.iter_parts()
        html.add_related(
            chart, "image", "png", cid=f"<{_CHART_ID}>", disposition="inline", filename="rides.png"
        )
    message.add_attachment(
        pdf, maintype="application", subtype="pdf", filename=f"{file_name(summary)}.pdf"
    )
    return message


def compose_failure(
    what: str, why: str, advice: str, *, sender: Address, recipients: Sequence[Address]
) -> EmailMessage:
    """The mail to operations about a report that did not reach the CEO."""
    message = _addressed(sender, recipients, f"Deloton: the {what} needs somebody")
    message.set_content(f"The {what} did not go as it should: {why}.\n\n{advice}\n")
    return message


def mail_page(summary: Summary, chart_source: str | None) -> str:
    """The report's headline as a page of HTML that mail programs show; `None`: without chart."""
    return fill("mail.html", summary=summary, chart_source=chart_source)


def chart_of(summary: Summary) -> bytes | None:
    """The chart of the mail as PNG; None in a period without rides."""
    if not summary.totals.rides:
        return None
    return charts.png_of(charts.rides_by_part(summary, charts.PHONE_WIDTH, height=130))


def file_name(summary: Summary) -> str:
    """What the report's file is called, without its ending."""
    return f"deloton-{summary.edition}-report-{summary.on.isoformat()}"


def _subject(summary: Summary) -> str:
    rides = formats.plural(summary.totals.rides, "ride")
    differs_by = summary.figure("rides").change_from_usual
    usual = wording.usual_of(summary)
    told = f" ({formats.compared(differs_by, usual)})" if differs_by is not None else ""
    return f"Deloton, {wording.period_name(summary)}: {rides}{told}"


def _addressed(sender: Address, recipients: Sequence[Address], subject: str) -> EmailMessage:
    message = EmailMessage()
    message["From"] = sender
    message["To"] = recipients
    message["Subject"] = subject
    # Out-of-office replies and the like stay away.
    message["Auto-Submitted"] = "auto-generated"
    return message
