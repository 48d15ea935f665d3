"""CORE: which mail goes next, and when: by urgency, within the send rate, few at a time.

A mail that is with the provider when we are killed may be sent twice. So mails go one after the
other, and side by side only once they would otherwise wait for long. One that the provider is slow
with holds up no other.

A provider that takes nothing several times in a row is away. Then one mail at a time asks whether
it is back, often enough; once one is accepted, all that wait may go.

Times are seconds of one clock that never falls back.
"""

import heapq
import itertools
from collections.abc import Collection
from typing import Final

from msgspec import Struct

from deloton.rules.heart_rate import AlertLevel
from hr_alerter.alerts import Claim, MailId, MailKind

# Once a mail has waited for its turn for so long, two go at once, and one more for each further
# tenth of a second: all of them are to arrive within two seconds of their readings.
PATIENCE_S: Final = 1.0
ONE_MORE_EACH_S: Final = 0.1
# A mail that has been under way for longer keeps its connection but counts no more.
SLOW_S: Final = 0.3
# One mail in trouble may be the mail's own; three in a row are the provider's.
OUTAGE_FROM: Final = 3
# So often the provider is asked whether it is back: riders are to be told within five seconds.
ASK_AGAIN_AFTER_S: Final = 1.5


# That all is well again waits for whoever is in danger.
URGENCY: Final = {AlertLevel.CRITICAL: 0, AlertLevel.HIGH: 1, AlertLevel.LOW: 1}
LEAST_URGENT: Final = 2


class Letter(Struct, eq=False):
    """A claimed mail on its way; `attempt` counts from 1."""

    claim: Claim
    attempt: int = 1


class Outbox:
    """Letters that wait and letters that are with the provider."""

    def __init__(self, rate_per_s: float, connections: int) -> None:
        """Nothing waits. A second's worth of letters may go at once after a pause."""
        self._rate_per_s = rate_per_s
        self._connections = connections
        self._most_tokens = max(1.0, rate_per_s)
        self._tokens = self._most_tokens
        self._tokens_at = 0.0
        self._failures = 0
        self._closed_until = 0.0
        self._numbers = itertools.count()
        self._ready: list[tuple[int, float, int, Letter]] = []
        self._later: list[tuple[float, int, Letter]] = []
        self._ready_since: dict[Letter, float] = {}
        self._begun: dict[Letter, float] = {}

    def __len__(self) -> int:
        return len(self._ready) + len(self._later)

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits and nothing is under way."""
        return not self and not self._begun

    def add(self, letter: Letter, due_at: float) -> None:
        """Let a letter wait for its turn, from `due_at` on."""
        heapq.heappush(self._later, (due_at, next(self._numbers), letter))

    def take(self, now: float) -> Letter | None:
        """The next letter that may go now: the most urgent first, then the oldest reading's."""
        self._sort_in(now)
        if not self._ready or self._tokens < 1 or not self._has_room(now):
            return None
        self._tokens -= 1
        *_, letter = heapq.heappop(self._ready)
        del self._ready_since[letter]
        self._begun[letter] = now
        return letter

    def wait_s(self, now: float) -> float | None:
        """When to ask again, in seconds; None: once a letter was added or finished."""
        self._sort_in(now)
        waits = [due_at - now for due_at, *_ in self._later[:1]]
        if self._ready and self._is_outage:
            waits += [] if self._begun else [self._closed_until - now]
        elif self._ready and self._tokens < 1:
            waits.append((1 - self._tokens) / self._rate_per_s)
        elif self._ready:
            waits += [begun + SLOW_S - now for begun in self._young(now)]
            waits.append(max(ONE_MORE_EACH_S, PATIENCE_S - self._longest_wait_s(now)))
        return max(0.001, min(waits)) if waits else None

    def finish(self, letter: Letter) -> None:
        """The provider has answered, and the answer is stored."""
        del self._begun[letter]

    def slow_down(self) -> None:
        """The provider says that we are too fast: begin anew from an empty second."""
        self._tokens = min(self._tokens, 0.0)

    def found_closed(self, now: float) -> None:
        """The provider took a letter not now."""
        self._failures += 1
        self._closed_until = now + ASK_AGAIN_AFTER_S

    def found_open(self, now: float) -> None:
        """The provider has judged a letter: after an outage, all that wait are due at once."""
        if self._is_outage:
            self._later = [(min(due_at, now), number, one) for due_at, number, one in self._later]
            heapq.heapify(self._later)
        self._failures = 0

    def withdraw(self, mails: Collection[MailId]) -> list[Letter]:
        """Take out those letters of these that wait for their turn or their next try."""
        waiting = [one[-1] for one in self._ready] + [one[-1] for one in self._later]
        withdrawn = [letter for letter in waiting if letter.claim.mail in mails]
        self._ready = [one for one in self._ready if one[-1].claim.mail not in mails]
        self._later = [one for one in self._later if one[-1].claim.mail not in mails]
        heapq.heapify(self._ready)
        heapq.heapify(self._later)
        for letter in withdrawn:
            self._ready_since.pop(letter, None)
        return withdrawn

    @property
    def _is_outage(self) -> bool:
        return self._failures >= OUTAGE_FROM

    def _sort_in(self, now: float) -> None:
        earned = (now - self._tokens_at) * self._rate_per_s
        self._tokens = min(self._most_tokens, self._tokens + earned)
        self._tokens_at = now
        while self._later and self._later[0][0] <= now:
            due_at, number, letter = heapq.heappop(self._later)
            self._ready_since[letter] = due_at
            seen_at = letter.claim.seen_at.timestamp()
            heapq.heappush(self._ready, (_urgency(letter.claim), seen_at, number, letter))

    def _has_room(self, now: float) -> bool:
        if self._is_outage:
            return not self._begun and now >= self._closed_until
        if len(self._begun) >= self._connections:
            return False
        impatience_s = self._longest_wait_s(now) - PATIENCE_S
        more = 1 + int(impatience_s / ONE_MORE_EACH_S) if impatience_s >= 0 else 0
        return len(self._young(now)) < 1 + more

    def _longest_wait_s(self, now: float) -> float:
        # Letters become ready in the order of time: the first is the one that waits longest.
        return now - next(iter(self._ready_since.values()), now)

    def _young(self, now: float) -> list[float]:
        return [begun for begun in self._begun.values() if now - begun < SLOW_S]


def _urgency(claim: Claim) -> int:
    return LEAST_URGENT if claim.kind is MailKind.RECOVERY else URGENCY[claim.level]
