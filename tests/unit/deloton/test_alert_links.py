"""Links by which riders say what mails they want."""

import base64
import hmac
import struct
from datetime import UTC, datetime, timedelta

import pytest

from deloton.running.alert_links import LASTS, AlertLinks

NOW = datetime(2026, 3, 2, 9, 15, tzinfo=UTC)
OLD, NEW = "o" * 32, "n" * 32
ADA = "ada@example.com"


def opened(links: AlertLinks, token: str, now: datetime = NOW, email: str = ADA) -> int | None:
    """The alert that a token opens where this is its rider's address."""
    alert_id = links.alert_of(token, now)
    return alert_id if links.opens(token, email) else None


def test_a_link_opens_its_own_alert_until_it_expires() -> None:
    links = AlertLinks([NEW], "https://api.deloton.example/")
    address, _, token = links.link_to(4711, ADA, NOW).rpartition("/")
    assert address == "https://api.deloton.example/alerts"
    assert opened(links, token, NOW) == 4711
    assert opened(links, token, NOW + LASTS - timedelta(seconds=1)) == 4711
    assert opened(links, token, NOW + LASTS) is None


def test_a_link_of_the_key_before_opens_until_that_key_goes() -> None:
    token = AlertLinks([OLD]).token_of(4711, ADA, NOW)
    assert opened(AlertLinks([NEW, OLD]), token) == 4711
    assert opened(AlertLinks([NEW]), token) is None
    assert AlertLinks([NEW, OLD]).token_of(4711, ADA, NOW) == AlertLinks([NEW]).token_of(
        4711, ADA, NOW
    )


def test_no_changed_bit_opens_anything() -> None:
    links = AlertLinks([NEW])
    token = links.token_of(4711, ADA, NOW)
    signs = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    others = [
        token[:place] + other + token[place + 1 :]
        for place in range(len(token) - 1)
        for other in signs
        if other != token[place]
    ]
    assert not any(opened(links, other) for other in others)


@pytest.mark.parametrize("text", ["", "x", "=", "é", "A" * 37, "A" * 38, "A" * 39, "..%2f", "\0"])
def test_what_is_no_token_opens_nothing(text: str) -> None:
    links = AlertLinks([NEW])
    assert links.alert_of(text, NOW) is None
    assert not links.opens(text, ADA)


def test_a_link_dies_with_the_address_that_its_mail_went_to() -> None:
    links = AlertLinks([NEW])
    token = links.token_of(4711, ADA, NOW)
    assert opened(links, token, email="Ada@Example.COM") == 4711
    assert opened(links, token, email="ada@elsewhere.example") is None
    # Nobody without the key can try out whom the mail went to.
    assert not AlertLinks([OLD]).opens(token, ADA)


def test_a_link_signed_without_an_address_opens_nothing() -> None:
    facts = struct.pack(">qI", 4711, int((NOW + LASTS).timestamp()))
    purpose = b"deloton: which alerts a rider wants\0"
    signature = hmac.digest(NEW.encode(), purpose + facts, "sha256")[:16]
    token = base64.urlsafe_b64encode(facts + signature).decode().rstrip("=")
    assert len(token) == len(AlertLinks([NEW]).token_of(4711, ADA, NOW))
    assert AlertLinks([NEW]).alert_of(token, NOW) is None


def test_a_made_up_link_is_known_for_one_without_its_riders_address() -> None:
    made_up = AlertLinks([OLD]).token_of(4711, ADA, NOW)
    assert AlertLinks([NEW]).alert_of(made_up, NOW) is None


def test_neighbouring_alerts_have_links_that_say_nothing_of_each_other() -> None:
    links = AlertLinks([NEW])
    one, two = links.token_of(1, ADA, NOW), links.token_of(2, ADA, NOW)
    assert one[-20:] != two[-20:]
