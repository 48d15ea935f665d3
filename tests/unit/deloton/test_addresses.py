"""Addresses are read once, as people write them; names greet and do nothing else."""

import pytest

from deloton.running.addresses import greeting_name, parse_addresses
from deloton.running.mail_url import check_mail_url


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('"Example, Zoe" <ceo@example.com>', [("Example, Zoe", "ceo@example.com")]),
        ('"Zoe @ Deloton" <ceo@example.com>', [("Zoe @ Deloton", "ceo@example.com")]),
        ("Zoë Chief <ceo@example.com>", [("Zoë Chief", "ceo@example.com")]),
        ("a@b.example,c@d.example", [("", "a@b.example"), ("", "c@d.example")]),
        ("ops@localhost", [("", "ops@localhost")]),
    ],
)
def test_addresses_are_those_that_a_person_means(
    text: str, expected: list[tuple[str, str]]
) -> None:
    found = [(one.display_name, one.addr_spec) for one in parse_addresses(text)]
    assert found == expected


@pytest.mark.parametrize(
    "text",
    [
        "", "x", "Zoe @ Deloton <ceo@example.com>", "Example, Zoe <ceo@example.com>", "Zoe <>",
        "a@b.example; c@d.example", "a@b.example\nBcc: x@y.example", "<a@b.example", "a@b",
        "zoë@example.com", "a@b.example, nobody",
    ],
)  # fmt: skip
def test_what_is_not_surely_an_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must be an address"):
        parse_addresses(text)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Ada", "Ada"), ("  Ada \n Maria ", "Ada Maria"), ("O'Neill", "O'Neill"), ("Zoë", "Zoë"),
        ("Ada M.", "Ada M."), ("مریم\u200c", "مریم\u200c"), ("A" * 60, "A" * 60),
        ("Ada\u202e\x00", "Ada"), ("李", "李"), (None, None), ("", None), ("\u202e", None),
        ("A" * 61, None), ("Ada visit example.com", None), ("https://example", None),
        ("ada@example", None), ("Call 0800", None), ("<b>Ada</b>", None), ("www.x", None),
    ],
)  # fmt: skip
def test_only_what_is_a_name_is_greeted(text: str | None, name: str | None) -> None:
    assert greeting_name(text) == name


@pytest.mark.parametrize(
    "url",
    [
        "ses://eu-west-2", "smtp://localhost:1025", "smtps://a:b@mail.example", "file:///mails",
        "smtp://a:b@mail.example:587?tls=optional",
    ],
)  # fmt: skip
def test_ways_out_are_understood(url: str) -> None:
    assert check_mail_url(url).scheme == url.partition(":")[0]


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("ses://", "a mail URL is"), ("smtp://", "a mail URL is"), ("file:///", "a mail URL is"),
        ("http://mail:s3cret@a", "a mail URL is"), ("smtp://u:s3cret@a:65536", "port"),
        ("smtp://u:s3cret@a:0", "a mail URL is"), ("smtp://u:s3cret@a?tls=no", "only option"),
    ],
)  # fmt: skip
def test_what_is_no_way_out_is_a_sentence_without_the_password(url: str, why: str) -> None:
    with pytest.raises(ValueError, match=why) as caught:
        check_mail_url(url)
    assert "s3cret" not in str(caught.value)
