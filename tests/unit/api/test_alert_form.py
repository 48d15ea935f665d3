"""What a rider says about alerts in the form, or a mail program by one click."""

from urllib.parse import urlencode

import pytest

from api.contract.alert_form import Choice, FormError, Limits, parse_choice


@pytest.mark.parametrize(
    ("body", "choice"),
    [
        (b"List-Unsubscribe=One-Click", Choice(alerts_on=False)),
        (b"do=off", Choice(alerts_on=False)),
        (b"do=on", Choice(alerts_on=True)),
        (b"low=&high=&critical=&do=limits", Choice(limits=Limits())),
        (b"low=45&high=+150+&critical=150&do=limits", Choice(limits=Limits(45, 150, 150))),
        (b"critical=170&do=limits", Choice(limits=Limits(None, None, 170))),
    ],
)
def test_each_choice_is_understood(body: bytes, choice: Choice) -> None:
    assert parse_choice(body) == choice


@pytest.mark.parametrize(
    "body",
    [b"", b"do=", b"do=everything", b"do=off&do=on", b"List-Unsubscribe=Yes", b"\xff", b"{}",
     b"&".join(b"do=off" for _ in range(99))],
)  # fmt: skip
def test_what_is_no_choice_changes_nothing(body: bytes) -> None:
    with pytest.raises(FormError):
        parse_choice(body)


@pytest.mark.parametrize(
    ("low", "high", "critical"),
    [("19", "", ""), ("", "251", ""), ("1e2", "", ""), ("", "-150", ""), ("", "150.5", ""),
     ("", "\u0661\u0665\u0660", ""), ("9" * 5000, "", ""), ("150", "150", ""), ("", "160", "150"),
     ("170", "", "170")],
)  # fmt: skip
def test_limits_that_cannot_be_meant_are_told(low: str, high: str, critical: str) -> None:
    fields = {"low": low, "high": high, "critical": critical, "do": "limits"}
    with pytest.raises(FormError, match="limit must be"):
        parse_choice(urlencode(fields).encode())


def test_the_audit_is_told_no_limit() -> None:
    assert Choice(limits=Limits(45, 150, 160)).told == "own limits"
