"""CORE: N bikes, ride after ride, merged into one stream of messages in time order.

The fleet goes through time in windows of some seconds. Within a window the rides that begin are
performed, the rows that fall into it are gathered from every ride under way, sorted by time and
spelled out in bulk. Only rides under way are held: some 9 kB each.
"""

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import chain, repeat
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bike_simulator import log_lines
from bike_simulator.damage import with_faults
from bike_simulator.faults import FaultRates
from bike_simulator.hearts import SHORTEST_EPISODE_RIDE_S, Condition
from bike_simulator.riders import SANDBOX_BIKES, Population
from bike_simulator.rides import OPENING_LINES, STEP_US, RideMessages, RideOrder, perform
from bike_simulator.riding import LONGEST_RIDE_S, SHORTEST_RIDE_S, ride_seconds
from bike_simulator.usage import next_start_us, share_ridden

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
RIDERS_PER_BIKE: Final = 12
FEWEST_RIDERS: Final = 60
MESSAGES_PER_WINDOW: Final = 50_000  # at most, all bikes riding
LONGEST_WINDOW_S: Final = 60
MOST_FIRMWARES: Final = 65_535 // log_lines.HEADS_PER_FIRMWARE
# Bikes that start back to back do not all start at once.
START_SPREAD_US: Final = 60_000_000

# Of the dangerous rides, so many have a racing heart.
RACING_SHARE: Final = 0.8
# A danger that is asked for comes so long after the moment and the ride's start, and has room to
# rise and fall.
DANGER_AFTER_S: Final = 20
DANGER_AFTER_START_S: Final = 60
DANGER_LASTS_S: Final = 110


class Message(NamedTuple):
    """One Kafka message, and when its bike sends it (microseconds since the epoch, UTC).

    A named tuple because it is made several hundred thousand times a second.
    """

    key: bytes
    value: bytes
    at_us: int

    @property
    def at(self) -> datetime:
        """When the bike sends it, as an aware time."""
        return EPOCH + timedelta(microseconds=self.at_us)


@dataclass(frozen=True, slots=True)
class FleetPlan:
    """Everything that decides what a fleet sends: equal plans give equal bytes.

    `until_at` (excluded) only ends the stream: it changes nothing before. Without it the
    stream is endless. `back_to_back` bikes stand still only for the 2 s between the last
    reading of a ride and the [SYSTEM] line of the next; otherwise they follow a day's usage, but
    for the first `round_the_clock` bikes, which ride back to back all the same.
    The last `broken_power_sensors` bikes measure too much power. `dangerous_riders` and
    `faint_riders` say how many rides under way, at any time, have a heart that races or nearly
    stops; `dangerous_share` how many of all rides have either, four of five a racing one. Of the
    rides at `danger_at`, or the next to begin, one has a heart that races shortly after.
    Those of a `sandbox` are marked as simulated, for partners to try their programs on.
    ValueError for a plan that makes no sense.
    """

    start_at: datetime
    bikes: int = 50
    seed: int = 7
    until_at: datetime | None = None
    back_to_back: bool = False
    round_the_clock: int = 0
    dangerous_riders: int = 0
    faint_riders: int = 0
    dangerous_share: float = 0.0
    danger_at: datetime | None = None
    broken_power_sensors: int = 0
    riders: int | None = None
    faults: FaultRates = field(default_factory=FaultRates)
    firmwares: tuple[str, ...] = (log_lines.DEFAULT_FIRMWARE,)
    sandbox: bool = False

    def __post_init__(self) -> None:
        """Refuse a plan nobody can follow."""
        self._has_times_that_can_be_meant()
        share = self.dangerous_share
        for is_wrong, why in (
            (self.bikes < 1, f"A fleet needs at least one bike, not {self.bikes}."),
            (self.seed < 0, f"The seed must not be negative, but it is {self.seed}."),
            (
                self.dangerous_riders < 0 or self.faint_riders < 0,
                "There cannot be fewer than no dangerous or faint riders.",
            ),
            (
                not 0 <= share <= 1,
                f"The share of dangerous rides must lie in 0 to 1, not {share}.",
            ),
            (
                self.round_the_clock < 0,
                "There cannot be fewer than no bikes that ride round the clock.",
            ),
            (
                self.broken_power_sensors < 0,
                "There cannot be fewer than no broken power sensors.",
            ),
            (self.population < self.bikes, f"{self.bikes} bikes need at least as many riders."),
            (
                not 1 <= len(self.firmwares) <= MOST_FIRMWARES,
                f"A fleet has 1 to {MOST_FIRMWARES} firmware tags.",
            ),
        ):
            if is_wrong:
                raise ValueError(why)

    def _has_times_that_can_be_meant(self) -> None:
        for moment in (self.start_at, self.until_at, self.danger_at):
            if moment is not None and moment.tzinfo is None:
                raise ValueError("The fleet's times need a time zone.")
        if self.until_at is not None and self.until_at <= self.start_at:
            raise ValueError("The fleet's end must come after its start.")

    def rides_back_to_back(self, bike: int) -> bool:
        """Whether a bike, counted from 0, rides without pause."""
        return self.back_to_back or bike < self.round_the_clock

    def has_broken_power_sensor(self, bike: int) -> bool:
        """Whether a bike, counted from 0, measures too much power."""
        return bike >= self.bikes - self.broken_power_sensors

    @property
    def population(self) -> int:
        """How many people ride these bikes: by default twelve a bike."""
        return self.riders or max(FEWEST_RIDERS, RIDERS_PER_BIKE * self.bikes)


def simulate(plan: FleetPlan) -> Iterator[Message]:
    """All messages of the fleet, in time order; those of one bike in its own order."""
    return chain.from_iterable(simulate_windows(plan))


def simulate_windows(plan: FleetPlan) -> Iterator[list[Message]]:
    """The same in lists that cover up to a minute each; none of them empty."""
    fleet = _Fleet(plan)
    begin_us = epoch_us(plan.start_at)
    until_us = epoch_us(plan.until_at) if plan.until_at else None
    while until_us is None or begin_us < until_us:
        end_us = begin_us + window_us(plan.bikes)
        if messages := fleet.advance(end_us if until_us is None else min(end_us, until_us)):
            yield messages
        begin_us = end_us


def epoch_us(at: datetime) -> int:
    """Microseconds since 1970, exactly."""
    return (at - EPOCH) // timedelta(microseconds=1)


def window_us(bikes: int) -> int:
    """How much time is spelled out at once: less of it the more bikes there are."""
    return max(1, min(LONGEST_WINDOW_S, MESSAGES_PER_WINDOW // (2 * bikes))) * 1_000_000


class _Underway:
    """A ride in progress and how far it has been sent."""

    __slots__ = ("bike", "end", "messages", "sent", "start_us")

    def __init__(self, bike: int, start_us: int, messages: RideMessages) -> None:
        self.bike = bike
        self.start_us = start_us
        self.messages = messages
        self.sent = 0
        self.end = len(messages.heads)

    def rows_before(self, end_us: int) -> slice:
        """The rows not yet sent that lie before `end_us`; counts them as sent."""
        first = self.sent
        offset_us = np.int32(min(end_us - self.start_us, np.iinfo(np.int32).max))
        self.sent = int(self.messages.offsets_us.searchsorted(offset_us))
        return slice(first, self.sent)


class _Fleet:
    """The state of the fleet: who rides where, and which bike starts when."""

    def __init__(self, plan: FleetPlan) -> None:
        self._plan = plan
        self._population = Population(
            plan.seed, plan.population, plan.start_at.year, sandbox=plan.sandbox
        )
        serial = SANDBOX_BIKES if plan.sandbox else "SN"
        self._keys = [f"{serial}{bike:04d}".encode() for bike in range(plan.bikes)]
        self._rides_begun = [0] * plan.bikes
        self._underway: list[_Underway] = []
        self._free_at_us: dict[int, int] = {}  # of riders who ride or have just ridden
        self._conditions: dict[Condition, list[int]] = {"racing": [], "faint": []}
        self._danger_us = epoch_us(plan.danger_at) if plan.danger_at else None
        self._popularity = self._drawn_popularity()
        self._starts = self._first_starts()
        heapq.heapify(self._starts)

    def advance(self, end_us: int) -> list[Message]:
        """All messages from where the last call ended to `end_us` (excluded), by time."""
        while self._starts[0][0] < end_us:
            start_us, bike = heapq.heappop(self._starts)
            heapq.heappush(self._starts, (self._begin_ride(bike, start_us), bike))
        messages = self._messages_before(end_us)
        self._underway = [ride for ride in self._underway if ride.sent < ride.end]
        self._free_at_us = {who: at for who, at in self._free_at_us.items() if at > end_us}
        return messages

    def _begin_ride(self, bike: int, start_us: int) -> int:
        """Seat a rider, perform the ride; returns when the bike's next ride starts."""
        plan, number = self._plan, self._rides_begun[bike]
        self._rides_begun[bike] += 1
        rng = np.random.default_rng([plan.seed, bike, number, 0])
        seconds = self._seconds(rng, bike, number)
        condition = self._condition(start_us, bike, number)
        if condition != "well":
            seconds = max(seconds, SHORTEST_EPISODE_RIDE_S)
        end_us = start_us + (OPENING_LINES + 2 * seconds) * (STEP_US + 40)
        if condition != "well":
            self._conditions[condition].append(end_us)
        episode_at_s = self._danger_due_s(start_us, seconds)
        if episode_at_s is not None:
            condition = "racing"
        order = RideOrder(
            rider=self._population.rider(self._seat_rider(rng, start_us, end_us)),
            bike_serial=self._keys[bike].decode(),
            seconds=seconds,
            start_us=start_us,
            random_key=(plan.seed, bike, number),
            firmware=bike % len(plan.firmwares),
            condition=condition,
            episode_at_s=episode_at_s,
            power_sensor_broken=plan.has_broken_power_sensor(bike),
        )
        whole = perform(order, plan.firmwares, plan.faults.odd_rider)
        messages = with_faults(whole, order, plan.faults, plan.firmwares)
        self._underway.append(_Underway(bike, start_us, messages))
        last_us = start_us + int(whole.offsets_us[-1])
        if plan.rides_back_to_back(bike):
            return last_us + STEP_US
        return next_start_us(last_us, float(rng.exponential()), self._popularity[bike])

    def _messages_before(self, end_us: int) -> list[Message]:
        rides = self._underway
        rows = [ride.rows_before(end_us) for ride in rides]
        pairs = [(ride, row) for ride, row in zip(rides, rows, strict=True) if row.stop > row.start]
        if not pairs:
            return []
        counts = [row.stop - row.start for _, row in pairs]
        place = np.arange(len(pairs)).repeat(counts)
        offsets = np.concatenate([ride.messages.offsets_us[row] for ride, row in pairs])
        at_us = offsets + np.array([ride.start_us for ride, _ in pairs])[place]
        by_time = np.argsort(at_us, kind="stable")
        heads = np.concatenate([ride.messages.heads[row] for ride, row in pairs])[by_time]
        tails = np.concatenate([ride.messages.tails[row] for ride, row in pairs])[by_time]
        at_us, place = at_us[by_time], place[by_time]
        values = log_lines.reading_messages(at_us, heads, tails, self._plan.firmwares)
        for row in np.flatnonzero(heads == log_lines.OWN_TEXT).tolist():
            values[row] = pairs[place[row]][0].messages.own_texts[tails[row]]
        rows_of_messages = zip(self._keys_of(pairs, place), values, at_us.tolist(), strict=True)
        # The tuple's own constructor: twice as fast as calling Message.
        return list(map(tuple.__new__, repeat(Message), rows_of_messages))

    def _keys_of(
        self, pairs: list[tuple[_Underway, slice]], place: NDArray[np.int64]
    ) -> list[bytes]:
        keys = [self._keys[ride.bike] for ride, _ in pairs]
        return [keys[at] for at in place.tolist()]

    def _seconds(self, rng: np.random.Generator, bike: int, number: int) -> int:
        """Back to back, the first ride is of any length, so that bikes fall out of step."""
        if self._plan.rides_back_to_back(bike) and number == 0:
            return int(rng.integers(SHORTEST_RIDE_S, LONGEST_RIDE_S + 1))
        return ride_seconds(rng)

    def _seat_rider(self, rng: np.random.Generator, start_us: int, end_us: int) -> int:
        """Somebody who is not riding elsewhere; low numbers come often, high ones seldom."""
        size = self._population.size
        who = int(size * rng.random() ** 1.5)
        while self._free_at_us.get(who, 0) > start_us:
            who = (who + 1) % size
        self._free_at_us[who] = end_us
        return who

    def _danger_due_s(self, start_us: int, seconds: int) -> int | None:
        """The second at which this ride has the danger that the plan asks for, if it is the one."""
        if self._danger_us is None:
            return None
        after_start_s = round((self._danger_us - start_us) / 1_000_000) + DANGER_AFTER_S
        at_s = max(DANGER_AFTER_START_S, after_start_s)
        if at_s > seconds - DANGER_LASTS_S:
            return None
        self._danger_us = None
        return at_s

    def _condition(self, start_us: int, bike: int, number: int) -> Condition:
        """Whether the ride is one of the share, or fills up the dangerous or the faint ones."""
        if self._plan.dangerous_share:
            rng = np.random.default_rng([self._plan.seed, bike, number, 3])
            if rng.random() < self._plan.dangerous_share:
                return "racing" if rng.random() < RACING_SHARE else "faint"
        wanted = {"racing": self._plan.dangerous_riders, "faint": self._plan.faint_riders}
        for condition, ends_us in self._conditions.items():
            ends_us[:] = [end_us for end_us in ends_us if end_us > start_us]
            if len(ends_us) < wanted[condition]:
                return condition
        return "well"

    def _drawn_popularity(self) -> list[float]:
        rng = np.random.default_rng([self._plan.seed, 11])
        drawn = rng.lognormal(0.0, 0.45, self._plan.bikes)
        return [float(popularity) for popularity in np.clip(drawn, 0.35, 2.5)]

    def _first_starts(self) -> list[tuple[int, int]]:
        """Some bikes start within the first minute: all of them if they ride back to back."""
        rng = np.random.default_rng([self._plan.seed, 12])
        begin_us = epoch_us(self._plan.start_at)
        spread_us = rng.integers(0, START_SPREAD_US, self._plan.bikes).tolist()
        soon = rng.random(self._plan.bikes) < share_ridden(begin_us)
        patience = rng.exponential(size=self._plan.bikes).tolist()
        return [
            (
                begin_us + spread_us[bike]
                if self._plan.rides_back_to_back(bike) or soon[bike]
                else next_start_us(begin_us, patience[bike], self._popularity[bike]),
                bike,
            )
            for bike in range(self._plan.bikes)
        ]
