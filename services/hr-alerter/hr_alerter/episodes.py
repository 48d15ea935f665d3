"""CORE: heart rates of a partition → alerts, by the limits of each rider.

A reading beyond a limit is noise; so many in a row are an episode. Seconds without a reading
neither count nor break it, a longer gap does. Repeats are dropped by ride and time. A ride is
told of each level once, and of `high` no more after `critical`.

What is remembered is forgotten by the clock of arrival, the time stamps of Kafka's records: a
bike whose own clock runs wrong disturbs no other ride.

Which readings have to be seen again after a restart follows from the same state: an episode that
has begun but is not yet decided begins at some offset, and no later one may be committed.
"""

from collections.abc import Iterable, Iterator, Sequence

from msgspec import Struct, field

from deloton.events import HeartRate
from deloton.heart_rate import AlertLevel, Limit

# A ride of which nothing came for so long is forgotten; the rows remember what it was told.
FORGET_AFTER_S = 120.0
# An episode that has begun holds the offset back for so long after its ride's last reading. Longer
# than a gap: readings may be late together. A successor reads at most so much again.
HOLD_BACK_S = 30.0

# Who was told of a level needs not be told of these.
COVERED_BY = {
    AlertLevel.LOW: (AlertLevel.LOW,),
    AlertLevel.HIGH: (AlertLevel.HIGH, AlertLevel.CRITICAL),
    AlertLevel.CRITICAL: (AlertLevel.CRITICAL,),
}


class EpisodeRules(Struct, frozen=True):
    """An episode: so many readings in a row, with no gap as long as `gap_s` between two."""

    readings: int = 3
    gap_s: float = 10.0


class Alert(Struct, frozen=True):
    """A heart rate that stayed beyond a limit; `sample` is the reading that made it an alert."""

    sample: HeartRate
    limit: Limit


class Run(Struct):
    """Readings in a row beyond one limit.

    `told` once it was an alert that was still of use; `noted` once it was one at all.
    """

    limit: Limit
    count: int = 0
    first_offset: int = 0
    told: bool = False
    noted: bool = False

    def becomes_alert(self, enough: int, is_fresh: bool) -> bool:
        """Whether it is an alert now: again if the only one came too late to be of use."""
        if self.told or self.count < enough or (self.noted and not is_fresh):
            return False
        self.noted = True
        self.told = is_fresh
        return True


class WatchedRide(Struct):
    """What is known of a ride: its runs, most severe first (none where alerts are off)."""

    runs: list[Run]
    last_at: float = 0.0
    arrived_at: float = 0.0

    @classmethod
    def of(cls, limits: Sequence[Limit]) -> "WatchedRide":
        """A ride of which no reading is known yet."""
        return cls([Run(limit) for limit in reversed(limits)])

    def take(
        self, offset: int, sample: HeartRate, rules: EpisodeRules, fresh_from: float
    ) -> Alert | None:
        """Take the next reading; return the alert that it makes, the most severe one."""
        at = sample.measured_at.timestamp()
        if at <= self.last_at:
            return None
        if at - self.last_at >= rules.gap_s:
            self._break_off()
        self.last_at = at
        return self._count(offset, sample, rules.readings, at >= fresh_from)

    def _count(self, offset: int, sample: HeartRate, enough: int, is_fresh: bool) -> Alert | None:
        alert: Alert | None = None
        for run in self.runs:
            if not run.limit.is_passed_by(sample.heart_rate_bpm):
                run.count = 0
                continue
            run.count += 1
            if run.count == 1:
                run.first_offset = offset
            if run.becomes_alert(enough, is_fresh):
                alert = alert or Alert(sample, run.limit)
        return alert

    def _break_off(self) -> None:
        for run in self.runs:
            run.count = 0

    def undecided_from(self, enough: int) -> int | None:
        """The offset at which the earliest undecided run began."""
        begun = [run.first_offset for run in self.runs if 0 < run.count < enough and not run.told]
        return min(begun, default=None)


class PartitionWatch(Struct):
    """The rides of one partition; `arrived_at` is when its newest record came to Kafka."""

    rules: EpisodeRules
    rides: dict[int, WatchedRide] = field(default_factory=dict)
    arrived_at: float = 0.0

    def unknown_rides(self, samples: Iterable[tuple[int, HeartRate]]) -> set[int]:
        """The rides whose limits have to be looked up first."""
        return {sample.ride_id for _, sample in samples}.difference(self.rides)

    def learn(self, ride_id: int, limits: Sequence[Limit]) -> None:
        """Watch a ride by these limits; without any it is left alone."""
        self.rides[ride_id] = WatchedRide.of(limits)

    def decide_alerts(
        self,
        samples: Iterable[tuple[int, HeartRate]],
        arrived_at: float,
        fresh_from: float = 0.0,
    ) -> Iterator[Alert]:
        """Take readings with their offsets, of rides that are known; yield the alerts.

        They came to Kafka up to `arrived_at`. An alert about a reading before `fresh_from` comes
        too late to be of use: if the episode goes on, or there is another, there is one more
        alert. Both are seconds since the epoch.
        """
        self.arrived_at = max(self.arrived_at, arrived_at)
        for offset, sample in samples:
            ride = self.rides[sample.ride_id]
            ride.arrived_at = self.arrived_at
            alert = ride.take(offset, sample, self.rules, fresh_from)
            if alert is not None:
                yield alert

    def forget_silent_rides(self) -> None:
        """Bound the memory: forget of whom nothing came for long."""
        oldest = self.arrived_at - FORGET_AFTER_S
        silent = [number for number, ride in self.rides.items() if ride.arrived_at < oldest]
        for number in silent:
            del self.rides[number]

    def safe_offset(self, next_offset: int) -> int:
        """Where a successor has to go on to miss no alert: at or before `next_offset`."""
        recent = self.arrived_at - HOLD_BACK_S
        begun = (
            ride.undecided_from(self.rules.readings)
            for ride in self.rides.values()
            if ride.arrived_at > recent
        )
        return min((offset for offset in begun if offset is not None), default=next_offset)
