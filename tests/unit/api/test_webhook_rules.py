"""Webhooks: where messages may go, how they are signed, when they are sent again."""

import base64
import ipaddress
import json
from datetime import UTC, datetime

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from api.contract.webhook_rules import (
    GIVE_UP_AFTER,
    WAITS_S,
    careful_wait_s,
    check_url,
    is_public,
    message,
    message_id,
    new_secret,
    signed_headers,
    told_secret,
    wait_s,
)

AT = datetime(2026, 3, 2, 9, 15, tzinfo=UTC)


def a_message(*secrets: bytes) -> tuple[bytes, dict[str, str]]:
    body = message("ride.ended", AT, 17, {"ride_id": 4711, "rider_id": None})
    return body, signed_headers(secrets, message_id(7, 17), body, datetime.now(UTC))


def test_a_receiver_with_the_secret_knows_that_a_message_is_ours() -> None:
    secret = new_secret()
    body, headers = a_message(secret)
    told = Webhook(told_secret(secret)).verify(body, headers)
    assert told == json.loads(body)
    assert told == {
        "type": "ride.ended",
        "timestamp": "2026-03-02T09:15:00Z",
        "data": {"change_id": 17, "ride_id": 4711, "rider_id": None},
    }
    assert headers["webhook-id"] == "msg_7_17"


@pytest.mark.parametrize("changed", ["body", "id", "timestamp"])
def test_what_was_changed_on_the_way_is_not_ours(changed: str) -> None:
    secret = new_secret()
    body, headers = a_message(secret)
    if changed == "body":
        body = body.replace(b"4711", b"4712")
    else:
        headers[f"webhook-{changed}"] += "1" if changed == "id" else ""
        if changed == "timestamp":
            headers["webhook-timestamp"] = str(int(headers["webhook-timestamp"]) - 1)
    with pytest.raises(WebhookVerificationError):
        Webhook(told_secret(secret)).verify(body, headers)


def test_while_a_secret_is_changed_receivers_with_either_know_us() -> None:
    former, secret = new_secret(), new_secret()
    body, headers = a_message(secret, former)
    for known in (former, secret):
        Webhook(told_secret(known)).verify(body, headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(told_secret(new_secret())).verify(body, headers)


def test_a_secret_is_256_random_bits_in_the_form_that_libraries_take() -> None:
    told = {told_secret(new_secret()) for _ in range(10)}
    assert len(told) == 10
    assert {len(base64.b64decode(each.removeprefix("whsec_"))) for each in told} == {32}


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.215.14", True),
        ("2606:2800:21f:cb07:6820:80da:af6b:8b2c", True),
        ("127.0.0.1", False),
        ("10.1.2.3", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("169.254.169.254", False),  # the cloud's own
        ("100.64.0.1", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("::1", False),
        ("::", False),
        ("fe80::1", False),
        ("fd00:ec2::254", False),
        ("::ffff:127.0.0.1", False),
        ("::ffff:93.184.215.14", True),
        ("64:ff9b::a9fe:a9fe", False),  # 169.254.169.254 behind a translator
        ("64:ff9b::5db8:d70e", True),
        ("2002:7f00:1::", False),  # 127.0.0.1 by 6to4
        ("ff02::1", False),
    ],
)
def test_only_addresses_of_the_internet_are_public(address: str, public: bool) -> None:
    assert is_public(ipaddress.ip_address(address)) == public


@pytest.mark.parametrize(
    "url",
    ["https://partner.example.com/x?y=1", "https://93.184.215.14:8443/", "https://a_b.example."],
)
def test_a_public_https_address_may_be_told(url: str) -> None:
    check_url(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://partner.example.com/",
        "ftp://partner.example.com/",
        "file:///etc/passwd",
        "https://",
        "https:///x",
        "partner.example.com",
        "https://user@partner.example.com/",
        "https://user:password@partner.example.com/",
        "https://partner.example.com/#x",
        "https://partner.example.com/a b",
        "https://partner.example.com\\@10.0.0.1/",
        "https://partner.example.com:99999/",
        "https://localhost/",
        "https://api.localhost/",
        "https://database.deloton-production.internal/",
        "https://127.0.0.1/",
        "https://[::1]/",
        "https://[::ffff:10.0.0.1]/",
        "https://169.254.169.254/latest/meta-data/",
        "https://%31%32%37.0.0.1/",
        "https://１２７.0.0.1/",
        "https://partner.example.com/" + "x" * 2000,
    ],
)
def test_anything_else_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"must|is not an address"):
        check_url(url)


def test_hosts_that_are_named_may_be_anywhere() -> None:
    check_url("http://localhost:8080/x", {"localhost"})
    for url in ("http://127.0.0.1/", "file://localhost/etc/passwd"):
        with pytest.raises(ValueError, match="must"):
            check_url(url, {"localhost"})


def test_waits_grow_and_three_days_hold_a_dozen_tries() -> None:
    for tries, longest in enumerate(WAITS_S, 1):
        assert 0.8 * longest <= wait_s(tries) <= 1.2 * longest
    assert 0.8 * WAITS_S[-1] <= wait_s(1_000) <= 1.2 * WAITS_S[-1]
    slowest = 1.2 * (sum(WAITS_S) + 3 * WAITS_S[-1])
    assert slowest < GIVE_UP_AFTER.total_seconds()


def test_an_endpoint_that_failed_three_times_is_left_alone_for_a_while() -> None:
    assert [careful_wait_s(failures) for failures in (0, 1, 2)] == [0, 0, 0]
    assert 0.8 * WAITS_S[0] <= careful_wait_s(3) < careful_wait_s(5)
