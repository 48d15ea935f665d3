"""Mails that come back and riders who complain: through real queues to rows, and no mail after."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest

from tests.integration.hr_alerter.alerter_site import HIGH, AlerterSite, eventually
from tests.moto_server import mails_in_moto, running_moto
from tests.ses_events import a_bounce, a_complaint, a_delivery, by_sns
from tests.smtp_double import USUAL, running_smtp_double

pytestmark = pytest.mark.embedded

REFUSED = "SELECT rider_id, because FROM refused_addresses ORDER BY rider_id"
ADDRESS = "UPDATE riders SET email = $2 WHERE rider_id = $1"


class Cloud:
    """An AWS with our sender, a topic, and the queue behind it."""

    def __init__(self, url: str) -> None:
        self.url = url
        made = {"endpoint_url": url, "region_name": "eu-west-2"}
        keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
        self.sns, self.sqs, ses = (
            boto3.session.Session().client(name, **made, **keys) for name in ("sns", "sqs", "sesv2")
        )
        ses.create_email_identity(EmailIdentity="deloton.example")
        self.topic = self.sns.create_topic(Name="mail-feedback")["TopicArn"]
        # What is read and not deleted is shown again after two seconds.
        made_queue = self.sqs.create_queue(
            QueueName="mail-feedback", Attributes={"VisibilityTimeout": "2"}
        )
        self.queue_url = made_queue["QueueUrl"]
        asked = {"QueueUrl": self.queue_url, "AttributeNames": ["All"]}
        queue = self.sqs.get_queue_attributes(**asked)["Attributes"]["QueueArn"]
        raw = {"RawMessageDelivery": "true"}
        self.sns.subscribe(TopicArn=self.topic, Protocol="sqs", Endpoint=queue, Attributes=raw)

    def tell(self, event: dict[str, Any]) -> None:
        """As SES tells the topic."""
        self.sns.publish(TopicArn=self.topic, Message=json.dumps(event))

    def put(self, text: str) -> None:
        """Straight into the queue."""
        self.sqs.send_message(QueueUrl=self.queue_url, MessageBody=text)

    async def is_all_heeded(self) -> bool:
        """Whether the queue holds nothing, read or unread."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        asked = {"QueueUrl": self.queue_url, "AttributeNames": names}
        return set(self.sqs.get_queue_attributes(**asked)["Attributes"].values()) == {"0"}


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    with running_moto() as url:
        yield Cloud(url)


def start(site: AlerterSite, cloud: Cloud) -> None:
    site.start_alerter(AWS_ENDPOINT_URL=cloud.url, MAIL_FEEDBACK_QUEUE_URL=cloud.queue_url)


async def message_of(site: AlerterSite, rider_id: int) -> str:
    query = "SELECT provider_message_id FROM heart_rate_alerts WHERE rider_id = $1"
    return str(await site.database.fetchval(query, rider_id))


async def test_a_bounce_and_a_complaint_end_an_alert_and_the_mailing_of_its_address(
    site: AlerterSite, cloud: Cloud
) -> None:
    start(site, cloud)
    await site.pending_alerts(4, first=7001)
    await site.until_settled(4)
    await site.database.execute(ADDRESS, 7001, "Rider7001@Example.com")
    cloud.tell(a_bounce(await message_of(site, 7001), "rider7001@example.com"))
    cloud.tell(a_complaint(await message_of(site, 7002), "rider7002@example.com"))
    cloud.tell(a_bounce(await message_of(site, 7003), "rider7003@example.com", "Transient"))
    cloud.put(by_sns(a_delivery(await message_of(site, 7004), "rider7004@example.com")))
    cloud.put("Successfully validated SNS topic for Amazon SES event publishing.")
    # Of no alert, as of the daily report's mail; of a rider nobody knows.
    cloud.tell(a_bounce("no-such-mail", "nobody@example.com"))
    await eventually(cloud.is_all_heeded)
    assert dict(await site.rows("rider_id, state")) == {
        7001: "bounced", 7002: "complained", 7003: "sent", 7004: "sent",
    }  # fmt: skip
    refused = [tuple(row) for row in await site.database.fetch(REFUSED)]
    assert refused == [(7001, "bounced"), (7002, "complained")]
    page = await site.page("/metrics")
    assert 'hr_alerter_refused_addresses_total{state="bounced",whose="rider"} 1.0' in page
    assert 'hr_alerter_mail_feedback_total{kind="unreadable"} 1.0' in page
    log = site.alerters[0].log_file.read_text()
    assert "example.com" not in log


async def test_a_bounce_that_is_told_before_its_alert_is_stored_as_sent_ends_it_all_the_same(
    site: AlerterSite, cloud: Cloud
) -> None:
    await site.pending_alerts(1, first=7001)
    # In another's hands, whose mail SES has accepted.
    await site.database.execute(
        "UPDATE heart_rate_alerts SET state = 'sending', owner = 'another', fence = 1, "
        "owned_until = now() + interval '10 minutes'"
    )
    start(site, cloud)
    now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    cloud.tell(a_bounce("ses-early", "rider7001@example.com", sent_at=now))

    async def is_refused() -> bool:
        return bool(await site.database.fetch(REFUSED))

    await eventually(is_refused)
    await site.database.execute(
        "UPDATE heart_rate_alerts SET state = 'sent', settled_at = now(), owner = NULL, "
        "owned_until = NULL, provider_message_id = 'ses-early'"
    )

    async def is_bounced() -> bool:
        return await site.states() == {"bounced": 1}

    await eventually(is_bounced)
    await eventually(cloud.is_all_heeded)


async def test_the_bounce_of_a_forwarded_mail_ends_the_mailing_of_the_address_that_we_mailed(
    site: AlerterSite, cloud: Cloud
) -> None:
    start(site, cloud)
    await site.pending_alerts(2, first=7001)
    await site.until_settled(2)
    # The first rider's address is an alias, whose target is the second rider's own.
    named, mailed = "rider7002@example.com", ("rider7001@example.com",)
    cloud.tell(a_bounce(await message_of(site, 7001), named, mailed=mailed))
    await eventually(cloud.is_all_heeded)
    assert [tuple(row) for row in await site.database.fetch(REFUSED)] == [(7001, "bounced")]
    assert dict(await site.rows("rider_id, state")) == {7001: "bounced", 7002: "sent"}
    await site.database.execute("UPDATE heart_rate_alerts SET measured_at = now() - interval '1 h'")
    for rider_id in (7001, 7002):
        ride = await site.a_ride(rider_id, bike_serial=f"OTHER{rider_id}")
        await site.send(ride, *[HIGH] * 3, rider_id=rider_id)
    await site.until_settled(4)
    assert sorted(await site.rows("rider_id, state")) == [
        (7001, "bounced"), (7001, "undeliverable"), (7002, "sent"), (7002, "sent"),
    ]  # fmt: skip


async def test_the_bounce_of_a_mail_that_is_over_ends_that_mail(
    site: AlerterSite, cloud: Cloud
) -> None:
    await site.pending_alerts(1, first=7001)
    await site.database.execute(
        "UPDATE heart_rate_alerts SET state = 'sent', settled_at = now(), "
        "provider_message_id = 'ses-alert'"
    )
    await site.database.execute(
        "INSERT INTO heart_rate_recoveries (alert_id, level, measured_at, seen_at, "
        "heart_rate_bpm, state, settled_at, provider_message_id) SELECT alert_id, level, now(), "
        "now(), 120, 'sent', now(), 'ses-over' FROM heart_rate_alerts"
    )
    start(site, cloud)
    cloud.tell(a_bounce("ses-over", "rider7001@example.com"))
    await eventually(cloud.is_all_heeded)
    told = await site.database.fetchval("SELECT state FROM heart_rate_recoveries")
    assert (told, await site.states()) == ("bounced", {"sent": 1})


async def test_a_refused_address_gets_no_mail_and_a_new_one_does(
    site: AlerterSite, cloud: Cloud
) -> None:
    await site.a_ride(7001)
    await site.a_ride(7002)
    start(site, cloud)
    cloud.tell(a_complaint("one", "rider7001@example.com"))
    cloud.tell(a_bounce("two", "rider7002@example.com", sub_kind="OnAccountSuppressionList"))
    # Told twice, as SQS may.
    cloud.tell(a_complaint("one", "rider7001@example.com"))
    await eventually(cloud.is_all_heeded)
    await site.database.execute(ADDRESS, 7002, "new@example.com")
    for rider_id in (7001, 7002):
        ride = await site.a_ride(rider_id, bike_serial=f"OTHER{rider_id}")
        await site.send(ride, *[HIGH] * 3, rider_id=rider_id)
    await site.until_settled(2)
    assert dict(await site.rows("rider_id, state")) == {7001: "undeliverable", 7002: "sent"}
    assert len(mails_in_moto(cloud.url)) == 1
    assert len(await site.database.fetch(REFUSED)) == 2


async def test_a_mail_server_without_the_mailbox_is_not_asked_again(site: AlerterSite) -> None:
    answers = {**USUAL, "rcpt": b"550 5.1.1 no such rider\r\n"}
    async with running_smtp_double(answers.__getitem__) as smtp:
        site.start_alerter(MAIL_URL=f"smtp://127.0.0.1:{smtp.port}")
        await site.pending_alerts(1, first=7001)
        await site.until_settled(1)
        ride = await site.a_ride(7001, bike_serial="OTHER")
        await site.database.execute(
            "UPDATE heart_rate_alerts SET measured_at = now() - interval '1 h'"
        )
        await site.send(ride, *[HIGH] * 3)
        await site.until_settled(2)
    assert sorted(await site.rows("state, attempts")) == [("bounced", 1), ("undeliverable", 0)]


async def test_a_queue_that_cannot_be_read_holds_up_no_mail_and_is_told_of(
    site: AlerterSite, cloud: Cloud
) -> None:
    site.start_alerter(
        AWS_ENDPOINT_URL=cloud.url, MAIL_FEEDBACK_QUEUE_URL=f"{cloud.queue_url}-of-nobody"
    )
    await site.pending_alerts(1)
    await site.until_settled(1)

    async def told() -> bool:
        return '"mail: feedback"' in await site.page("/health")

    await eventually(told)
    assert await site.states() == {"sent": 1}
