"""What SES tells of mails, as its event publishing writes it."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from hr_alerter.alerts import AlertState
from hr_alerter.feedback import EARLY, Feedback, parse_feedback
from tests.ses_events import a_bounce, a_complaint, a_delivery, by_sns

TO = "ada@example.com"
SENT_AT = datetime(2026, 3, 2, 9, 15, 4, 123_000, tzinfo=UTC)


@pytest.mark.parametrize("wrap", [json.dumps, by_sns], ids=["plain", "in a notification"])
def test_a_hard_bounce_and_a_complaint_tell_of_a_mail_and_its_addresses(
    wrap: Callable[[dict[str, Any]], str],
) -> None:
    assert parse_feedback(wrap(a_bounce("m-1", TO))) == Feedback(
        AlertState.BOUNCED, "m-1", (TO,), SENT_AT
    )
    assert parse_feedback(wrap(a_complaint("m-2", TO))) == Feedback(
        AlertState.COMPLAINED, "m-2", (TO,), SENT_AT
    )


BOB, EVE = "bob@example.com", "eve@example.com"


@pytest.mark.parametrize(
    ("mailed", "named", "refused"),
    [
        ((TO,), EVE, (TO,)),
        ((TO,), "ADA@Example.com", (TO,)),
        ((TO, BOB), "Bob@example.com", (BOB,)),
        ((TO, BOB), EVE, ()),
    ],
    ids=["forwarded", "in another case", "one of several", "forwarded by one of several"],
)
def test_the_address_that_we_mailed_is_meant_wherever_it_leads(
    mailed: tuple[str, ...], named: str, refused: tuple[str, ...]
) -> None:
    told = parse_feedback(json.dumps(a_bounce("m", named, mailed=mailed)))
    assert told is not None
    assert told.addresses == refused


def test_where_nothing_is_told_of_whom_we_mailed_the_named_address_is_meant() -> None:
    event = a_complaint("m", TO)
    del event["mail"]["destination"]
    told = parse_feedback(json.dumps(event))
    assert told is not None
    assert told.addresses == (TO,)


@pytest.mark.parametrize(
    ("sent_at", "may_be"),
    [(SENT_AT, True), (SENT_AT - EARLY + timedelta(seconds=1), True), (SENT_AT - EARLY, False),
     (None, False)],
)  # fmt: skip
def test_what_is_told_minutes_after_the_mail_is_not_early(
    sent_at: datetime | None, may_be: bool
) -> None:
    told = Feedback(AlertState.BOUNCED, "m", (TO,), sent_at)
    assert told.may_be_early(SENT_AT) is may_be


@pytest.mark.parametrize(
    "event",
    [
        a_bounce("m", TO, "Transient", "MailboxFull"),
        a_bounce("m", TO, "Undetermined", "Undetermined"),
        a_delivery("m", TO),
        a_complaint("m", TO, "not-spam"),
        a_complaint("m", TO, "auth-failure"),
    ],
    ids=["full mailbox", "undetermined", "delivery", "taken out of the spam", "not proven ours"],
)
def test_what_may_pass_or_is_well_changes_nothing(event: dict[str, object]) -> None:
    assert parse_feedback(json.dumps(event)) is None


@pytest.mark.parametrize(
    "text",
    ["", "Successfully validated SNS topic for Amazon SES event publishing.", "[]", "{}", '"x"',
     '{"eventType": "Bounce", "mail": {}}', '{"Message": "no JSON"}', '{"Message": 1}',
     '{"eventType": "Bounce", "mail": {"messageId": "m"}, "bounce": {"bounceType": 5}}',
     json.dumps(a_bounce("m", "a\0@example.com")), json.dumps(a_bounce("m\0", TO)),
     json.dumps(a_bounce("m", TO, sent_at="2026-03-02T09:15:04")), '{"x":' + "[" * 100_000],
)  # fmt: skip
def test_what_is_no_word_about_a_mail_is_refused(text: str) -> None:
    with pytest.raises(msgspec.DecodeError):
        parse_feedback(text)
