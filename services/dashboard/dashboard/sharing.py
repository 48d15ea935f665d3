"""CORE: answers that all viewers share, and that outlive the database's absence."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import pandas as pd

KEPT_ANSWERS = 256


@dataclass(frozen=True)
class Answer:
    """Rows, shared by all viewers (never change them), and when they were read.

    `gone_since` is when the database first failed to give newer ones; None: all is well.
    """

    rows: pd.DataFrame
    read_at: datetime
    gone_since: datetime | None = None

    def outdated_s(self, now: datetime) -> float:
        """How old the picture is, in seconds, once newer ones fail to come; 0.0 until then."""
        return (now - self.read_at).total_seconds() if self.gone_since else 0.0


@dataclass
class _Place:
    lock: threading.Lock = field(default_factory=threading.Lock)
    answer: Answer | None = None
    tried_at: datetime | None = None


class SharedAnswers:
    """Keeps the newest answer a question; asks again only when it is older than `fresh_s`."""

    def __init__(self, now: Callable[[], datetime], is_transient: Callable[..., bool]) -> None:
        """Begin with no answers. `is_transient` says which errors pass by themselves."""
        self._now = now
        self._is_transient = is_transient
        self._lock = threading.Lock()
        self._places: OrderedDict[Hashable, _Place] = OrderedDict()

    def get(self, question: Hashable, fresh_s: float, ask: Callable[[], Any]) -> Answer:
        """The answer; while another viewer asks, the last one. Raises what the first asking does.

        Once there is an answer, an error that passes by itself leaves it as it was.
        """
        place = self._place(question)
        if not place.lock.acquire(blocking=place.answer is None) and place.answer:
            return place.answer
        try:
            if place.answer is None or self._is_due(place, fresh_s):
                self._renew(place, ask)
            assert place.answer is not None  # noqa: S101  renewing raises otherwise
            return place.answer
        finally:
            place.lock.release()

    def _is_due(self, place: _Place, fresh_s: float) -> bool:
        tried_at = place.tried_at
        return tried_at is None or (self._now() - tried_at).total_seconds() >= fresh_s

    def _renew(self, place: _Place, ask: Callable[[], Any]) -> None:
        place.tried_at = now = self._now()
        try:
            place.answer = Answer(ask(), now)
        except Exception as error:
            if place.answer is None or not self._is_transient(error):
                raise
            gone_since = place.answer.gone_since or now
            place.answer = replace(place.answer, gone_since=gone_since)

    def _place(self, question: Hashable) -> _Place:
        with self._lock:
            place = self._places.setdefault(question, _Place())
            self._places.move_to_end(question)
            if len(self._places) > KEPT_ANSWERS:
                self._places.popitem(last=False)
            return place
