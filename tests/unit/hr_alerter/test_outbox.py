"""Which mail goes when."""

from datetime import datetime

import pytest

from deloton.rules.heart_rate import AlertLevel
from deloton.testing import at
from hr_alerter.alerts import Claim, MailId, MailKind
from hr_alerter.outbox import (
    ASK_AGAIN_AFTER_S,
    ONE_MORE_EACH_S,
    OUTAGE_FROM,
    PATIENCE_S,
    SLOW_S,
    Letter,
    Outbox,
)


def a_letter(
    alert_id: int = 1, level: AlertLevel = AlertLevel.HIGH, measured_at: datetime | None = None
) -> Letter:
    moment = measured_at or at(alert_id)
    return Letter(Claim(alert_id, 1, level, moment))


def taken(outbox: Outbox, now: float) -> list[int]:
    """The alerts of all letters that may go at this moment."""
    letters = []
    while letter := outbox.take(now):
        letters.append(letter.claim.alert_id)
    return letters


def a_full_outbox(letters: int, *, rate_per_s: float = 100.0, connections: int = 10) -> Outbox:
    outbox = Outbox(rate_per_s, connections)
    for number in range(letters):
        outbox.add(a_letter(number), 1.0)
    return outbox


def test_critical_ones_go_first_then_the_oldest_readings() -> None:
    outbox = Outbox(100.0, 10)
    for letter in (a_letter(3), a_letter(1), a_letter(2, AlertLevel.CRITICAL)):
        outbox.add(letter, 0.0)
    order = []
    while letter_now := outbox.take(1.0):
        order.append(letter_now.claim.alert_id)
        outbox.finish(letter_now)
    assert order == [2, 1, 3]


def test_that_all_is_well_again_waits_for_whoever_is_in_danger() -> None:
    outbox = Outbox(100.0, 10)
    over = Letter(Claim(1, 1, AlertLevel.CRITICAL, at(1), MailKind.RECOVERY))
    for letter in (over, a_letter(1, AlertLevel.LOW, at(9))):
        outbox.add(letter, 0.0)
    first = outbox.take(1.0)
    assert first is not None
    assert first.claim.kind is MailKind.ALERT
    assert outbox.withdraw({MailId(MailKind.ALERT, 1)}) == []
    assert outbox.withdraw({MailId(MailKind.RECOVERY, 1)}) == [over]


def test_while_few_wait_they_go_one_after_the_other() -> None:
    outbox = a_full_outbox(3)
    first = outbox.take(1.0)
    assert first is not None
    assert outbox.take(1.0) is None
    outbox.finish(first)
    assert taken(outbox, 1.0) == [1]


def test_once_one_has_waited_for_long_they_go_side_by_side_up_to_the_connections() -> None:
    begun = 1.0 + PATIENCE_S
    assert len(taken(a_full_outbox(50), begun - 0.01)) == 1
    assert len(taken(a_full_outbox(50), begun)) == 2
    assert len(taken(a_full_outbox(50), begun + 3.5 * ONE_MORE_EACH_S)) == 5
    assert len(taken(a_full_outbox(50), begun + 60)) == 10


def test_it_is_asked_again_when_the_patience_ends() -> None:
    outbox = a_full_outbox(3)
    assert taken(outbox, 1.9) == [0]
    assert outbox.wait_s(1.9) == pytest.approx(0.1)


def test_one_that_the_provider_is_slow_with_holds_up_no_other() -> None:
    outbox = a_full_outbox(3)
    assert taken(outbox, 1.0) == [0]
    assert outbox.wait_s(1.0) == pytest.approx(SLOW_S)
    assert taken(outbox, 1.0 + SLOW_S) == [1]


def test_no_more_go_than_the_rate_allows() -> None:
    outbox = a_full_outbox(100, rate_per_s=4, connections=100)
    sent = []
    for quarter in range(4, 12):
        while letter := outbox.take(quarter / 4):
            outbox.finish(letter)
            sent.append(quarter)
    assert sent == [4, 4, 4, 4, 5, 6, 7, 8, 9, 10, 11]
    assert outbox.wait_s(2.75) == pytest.approx(0.25)


def test_after_throttling_the_next_waits_for_its_turn() -> None:
    outbox = a_full_outbox(3, rate_per_s=2)
    assert taken(outbox, 1.0) == [0]
    outbox.slow_down()
    assert outbox.wait_s(1.0) == pytest.approx(0.5)
    assert taken(outbox, 1.4) == []
    assert taken(outbox, 1.5) == [1]


def test_a_letter_waits_until_it_is_due() -> None:
    outbox = Outbox(100.0, 10)
    outbox.add(a_letter(), 5.0)
    assert outbox.take(4.9) is None
    assert outbox.wait_s(4.9) == pytest.approx(0.1)
    assert taken(outbox, 5.0) == [1]


def test_an_empty_outbox_has_nothing_to_wait_for() -> None:
    assert Outbox(1.0, 1).wait_s(1.0) is None


def test_letters_that_are_no_longer_ours_are_forgotten() -> None:
    outbox = a_full_outbox(3)
    outbox.add(a_letter(9), 100.0)
    outbox.take(1.0)
    outbox.withdraw({MailId(MailKind.ALERT, number) for number in (1, 9)})
    assert len(outbox) == 1


def test_once_three_in_a_row_are_not_taken_one_at_a_time_asks_whether_the_provider_is_back() -> (
    None
):
    outbox = a_full_outbox(50)
    for _ in range(OUTAGE_FROM):
        outbox.found_closed(1.0)
    assert taken(outbox, 60.0) == [0]
    outbox = a_full_outbox(50)
    for _ in range(OUTAGE_FROM):
        outbox.found_closed(1.0)
    assert outbox.take(1.0 + ASK_AGAIN_AFTER_S - 0.1) is None
    assert outbox.wait_s(1.0) == pytest.approx(ASK_AGAIN_AFTER_S)


def test_when_the_provider_is_back_all_that_wait_are_due_at_once() -> None:
    outbox = a_full_outbox(3)
    first = outbox.take(1.0)
    assert first is not None
    for _ in range(OUTAGE_FROM):
        outbox.found_closed(1.0)
    outbox.finish(first)
    outbox.add(first, 99.0)
    outbox.found_open(5.0)
    order = []
    while letter := outbox.take(5.0):
        order.append(letter.claim.alert_id)
        outbox.finish(letter)
    assert sorted(order) == [0, 1, 2]


def test_two_that_are_not_taken_are_their_own_trouble() -> None:
    outbox = a_full_outbox(50)
    for _ in range(OUTAGE_FROM - 1):
        outbox.found_closed(1.0)
    assert len(taken(outbox, 61.0)) == 10
