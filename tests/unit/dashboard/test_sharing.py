"""One question for all viewers, and a picture that outlives the database."""

from datetime import datetime, timedelta

import pandas as pd
import pytest

from dashboard.sharing import KEPT_ANSWERS, SharedAnswers
from deloton.store.database import is_transient
from deloton.testing import START_AT, ManualClock


class FakeDatabase:
    """Counts what it is asked; away when told so."""

    def __init__(self) -> None:
        self.asked = 0
        self.away = False

    def ask(self) -> pd.DataFrame:
        self.asked += 1
        if self.away:
            raise ConnectionRefusedError
        return pd.DataFrame({"asked": [self.asked]})


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(0.0)


@pytest.fixture
def answers(clock: ManualClock) -> SharedAnswers:
    def now() -> datetime:
        return START_AT + timedelta(seconds=clock())

    return SharedAnswers(now, is_transient)


def test_many_viewers_ask_once_until_the_answer_is_old(
    answers: SharedAnswers, clock: ManualClock
) -> None:
    database = FakeDatabase()
    for _ in range(50):
        answers.get("live", 1.0, database.ask)
    assert database.asked == 1
    clock.pass_by(1.0)
    assert answers.get("live", 1.0, database.ask).rows["asked"].item() == 2


def test_the_last_picture_stays_with_since_when(answers: SharedAnswers, clock: ManualClock) -> None:
    database = FakeDatabase()
    answers.get("live", 1.0, database.ask)
    database.away = True
    clock.pass_by(5.0)
    answers.get("live", 1.0, database.ask)
    clock.pass_by(5.0)
    answer = answers.get("live", 1.0, database.ask)
    assert answer.gone_since == START_AT + timedelta(seconds=5)
    assert answer.rows["asked"].item() == 1
    database.away = False
    clock.pass_by(5.0)
    assert answers.get("live", 1.0, database.ask).gone_since is None


def test_without_a_picture_the_error_is_told(answers: SharedAnswers) -> None:
    database = FakeDatabase()
    database.away = True
    with pytest.raises(ConnectionRefusedError):
        answers.get("live", 1.0, database.ask)


def test_each_question_has_its_own_answer_and_says_when_it_was_read(
    answers: SharedAnswers, clock: ManualClock
) -> None:
    first, second = FakeDatabase(), FakeDatabase()
    second.asked = 10
    answers.get("live", 1.0, first.ask)
    clock.pass_by(0.5)
    answer = answers.get("recent", 1.0, second.ask)
    assert answer.rows["asked"].item() == 11
    assert answer.read_at == START_AT + timedelta(seconds=0.5)


def test_of_too_many_answers_the_one_that_was_asked_for_longest_ago_is_forgotten(
    answers: SharedAnswers,
) -> None:
    database = FakeDatabase()
    for question in range(KEPT_ANSWERS):
        answers.get(question, 1.0, database.ask)
    answers.get(0, 1.0, database.ask)
    assert database.asked == KEPT_ANSWERS
    answers.get("one more", 1.0, database.ask)
    answers.get(0, 1.0, database.ask)
    assert database.asked == KEPT_ANSWERS + 1
    answers.get(1, 1.0, database.ask)
    assert database.asked == KEPT_ANSWERS + 2
