"""Documents as SES' event publishing writes them, with all that they hold besides what we read.

https://docs.aws.amazon.com/ses/latest/dg/event-publishing-retrieving-sns-contents.html
"""

import json
from typing import Any

AT = "2026-03-02T09:15:04.123Z"


def a_bounce(
    message_id: str,
    to: str,
    kind: str = "Permanent",
    sub_kind: str = "General",
    sent_at: str = AT,
    mailed: tuple[str, ...] = (),
) -> dict[str, Any]:
    """A mail came back from `to`; `Permanent` for good. `mailed` is where it went, if not there."""
    recipient = {
        "emailAddress": to,
        "action": "failed",
        "status": "5.1.1",
        "diagnosticCode": "smtp; 550 5.1.1 user unknown",
    }
    bounce = {
        "bounceType": kind,
        "bounceSubType": sub_kind,
        "bouncedRecipients": [recipient],
        "timestamp": AT,
        "feedbackId": "0102018e-feedback-000000",
        "reportingMTA": "dsn; a8-70.smtp-out.amazonses.com",
    }
    mail = {**a_mail(message_id, *(mailed or (to,))), "timestamp": sent_at}
    return {"eventType": "Bounce", "mail": mail, "bounce": bounce}


def a_complaint(message_id: str, to: str, kind: str = "abuse") -> dict[str, Any]:
    """A recipient called a mail spam."""
    complaint = {
        "complainedRecipients": [{"emailAddress": to}],
        "timestamp": AT,
        "feedbackId": "0102018e-feedback-000001",
        "complaintSubType": None,
        "userAgent": "Example-Feedback-Loop/1.0",
        "complaintFeedbackType": kind,
        "arrivalDate": AT,
    }
    return {"eventType": "Complaint", "mail": a_mail(message_id, to), "complaint": complaint}


def a_delivery(message_id: str, to: str) -> dict[str, Any]:
    """A mail server took a mail."""
    delivery = {
        "timestamp": AT,
        "processingTimeMillis": 512,
        "recipients": [to],
        "smtpResponse": "250 2.6.0 queued",
        "reportingMTA": "a8-70.smtp-out.amazonses.com",
    }
    return {"eventType": "Delivery", "mail": a_mail(message_id, to), "delivery": delivery}


def a_mail(message_id: str, *to: str) -> dict[str, Any]:
    """What every document says of the mail."""
    return {
        "timestamp": AT,
        "source": "Deloton <alerts@deloton.example>",
        "sourceArn": "arn:aws:ses:eu-west-2:123456789012:identity/deloton.example",
        "sendingAccountId": "123456789012",
        "messageId": message_id,
        "destination": list(to),
        "headersTruncated": False,
        "headers": [
            {"name": "To", "value": ", ".join(to)},
            {"name": "Subject", "value": "Ease off"},
        ],
        "commonHeaders": {"to": list(to), "messageId": message_id, "subject": "Ease off"},
        "tags": {"ses:configuration-set": ["deloton-production"]},
    }


def by_sns(event: dict[str, Any]) -> str:
    """As a notification of SNS that is not delivered raw."""
    topic = "arn:aws:sns:eu-west-2:123456789012:deloton-production-mail-feedback"
    told = {"Type": "Notification", "MessageId": "1", "TopicArn": topic}
    return json.dumps({**told, "Message": json.dumps(event), "Timestamp": AT})
