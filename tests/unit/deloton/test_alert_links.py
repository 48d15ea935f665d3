"""Links by which riders say what mails they want."""

from datetime import UTC, datetime, timedelta

import pytest

from deloton.running.alert_links import LASTS, AlertLinks

NOW = datetime(2026, 3, 2, 9, 15, tzinfo=UTC)
OLD, NEW = "o" * 32, "n" * 32


def test_a_link_opens_its_own_alert_until_it_expires() -> None:
    links = AlertLinks([NEW], "https://api.deloton.example/")
    address, _, token = links.link_to(4711, NOW).rpartition("/")
    assert address == "https://api.deloton.example/alerts"
    assert links.alert_of(token, NOW) == 4711
    assert links.alert_of(token, NOW + LASTS - timedelta(seconds=1)) == 4711
    assert links.alert_of(token, NOW + LASTS) is None


def test_a_link_of_the_key_before_opens_until_that_key_goes() -> None:
    token = AlertLinks([OLD]).token_of(4711, NOW)
    assert AlertLinks([NEW, OLD]).alert_of(token, NOW) == 4711
    assert AlertLinks([NEW]).alert_of(token, NOW) is None
    assert AlertLinks([NEW, OLD]).token_of(4711, NOW) == AlertLinks([NEW]).token_of(4711, NOW)


def test_no_changed_bit_opens_anything() -> None:
    links = AlertLinks([NEW])
    token = links.token_of(4711, NOW)
    signs = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    others = [
        token[:place] + other + token[place + 1 :]
        for place in range(len(token) - 1)
        for other in signs
        if other != token[place]
    ]
    assert not any(links.alert_of(other, NOW) for other in others)


@pytest.mark.parametrize("text", ["", "x", "=", "é", "A" * 37, "A" * 38, "A" * 39, "..%2f", "\0"])
def test_what_is_no_token_opens_nothing(text: str) -> None:
    assert AlertLinks([NEW]).alert_of(text, NOW) is None


def test_neighbouring_alerts_have_links_that_say_nothing_of_each_other() -> None:
    links = AlertLinks([NEW])
    one, two = links.token_of(1, NOW), links.token_of(2, NOW)
    assert one[-20:] != two[-20:]
