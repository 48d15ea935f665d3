"""One question for all viewers, and a picture that outlives the database."""

from datetime import datetime, timedelta

import pandas as pd
import pytest

from dashboard.sharing import SharedAnswers
from deloton.database import is_transient
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
