"""CORE: heart rates of a partition → alerts and their ends, by the limits of each rider.

A reading beyond a limit is noise; when the heart stays beyond it for some seconds it is an episode.
Seconds without a reading, or with one that cannot be believed (`sensor.py`), neither count nor
break it; a longer gap does. Repeats are dropped by ride and time.

An alert is a condition and not an event: while an episode lasts it is said again every few seconds,
and whether anybody has still to be told is for the rows to know. Of several levels at once only the
most severe one is said, and while that one is being counted the lesser waits for it.

What is remembered is forgotten by the clock of arrival, the time stamps of Kafka's records: a
bike whose own clock runs wrong disturbs no other ride.

Whoever goes on after a restart has to know each sensor as we do, or it would believe nothing for a
while and miss a jump: it reads the last minute of every ride again, and no offset is committed
past that.
"""

import math
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Final

from msgspec import Struct, field

from deloton.events import HeartRate
from deloton.rules.heart_rate import SUDDEN_RISE_BPM, AlertLevel, Limit
from hr_alerter.recovery import Calm, NormalRange, Recovery
from hr_alerter.sensor import Sensor

# A ride of which nothing came for so long is forgotten; the rows remember what it was told.
FORGET_AFTER_S = 120.0
# A ride holds the offset back for so long after its last reading. Longer than a gap: readings may
# be late together.
HOLD_BACK_S = 30.0
# So much of a ride a successor reads again: until the sensor is believed, was steady before a jump,
# and the jump is decided. Noted in steps.
LOOK_BACK_S: Final = 60.0
NOTE_EVERY_S: Final = 10.0

# An episode that lasts is said again so often: so soon a row that came to nothing is taken up.
SAY_AGAIN_AFTER_S = 5.0

# A jump begins an episode within so long: a rate that climbs later has climbed by itself.
SUDDEN_WITHIN_S: Final = 60.0

# What a heart held for so long it can do (`deloton.rules.heart_rate.Proof`).
PROVEN_AFTER_S: Final = 15

# Who was told of a level needs not be told of these.
COVERED_BY = {
    AlertLevel.LOW: (AlertLevel.LOW,),
    AlertLevel.HIGH: (AlertLevel.HIGH, AlertLevel.CRITICAL),
    AlertLevel.CRITICAL: (AlertLevel.CRITICAL,),
}


class EpisodeRules(Struct, frozen=True):
    """An episode: a heart that stays beyond a limit for so many seconds, a reading a second.

    Between two readings lies no gap as long as `gap_s`; one that comes
    back within the limit by no more than `slack_bpm` neither counts nor breaks it. Low counts only
    while the pedals turn at `load_rpm` or more, and in a hold that was steady for `steady_s`.
    """

    low_s: int = 15
    high_s: int = 10
    critical_s: int = 10
    gap_s: float = 10.0
    slack_bpm: int = 3
    load_rpm: int = 20
    steady_s: float = 10.0

    def enough_of(self, level: AlertLevel) -> int:
        """How many readings make an episode of a level."""
        return {
            AlertLevel.LOW: self.low_s,
            AlertLevel.HIGH: self.high_s,
            AlertLevel.CRITICAL: self.critical_s,
        }[level]


class Alert(Struct, frozen=True):
    """A heart rate that stays beyond a limit: `sample` is the newest reading of it.

    `began_at` is the reading that made it an alert, in this episode.
    """

    sample: HeartRate
    limit: Limit
    began_at: datetime

    @property
    def is_new(self) -> bool:
        """Whether it is said for the first time."""
        return self.sample.measured_at == self.began_at


class Beat(Struct, frozen=True):
    """A reading that is believed: what the rules ask of it. `at` is in seconds since the epoch.

    `risen_bpm`: how far it lies above the rate from which the heart jumped, or 0; `jumped_s`: how
    long ago. `can_be_low`: whether a low one would count.
    """

    at: float
    bpm: int
    risen_bpm: int = 0
    jumped_s: float = 0.0
    can_be_low: bool = True

    @property
    def is_risen(self) -> bool:
        """Whether the heart jumped so far that it is told of sooner."""
        return self.risen_bpm >= SUDDEN_RISE_BPM


class Run(Struct):
    """Readings in a row beyond one limit; `began_at` and `said_at` once they are an alert.

    `said_at`, in seconds since the epoch, is the reading at which it was last said while of use.
    """

    limit: Limit
    enough: int
    slack_bpm: int
    # Beyond is a rate of `edge` or more: of the negative rate where low is the worse.
    sign: int
    edge: float
    sudden_edge: float
    count: int = 0
    is_beyond: bool = False
    passed: Limit | None = None
    began_at: datetime | None = None
    said_at: float | None = None

    @classmethod
    def of(cls, limit: Limit, rules: EpisodeRules) -> "Run":
        """Nothing is counted yet. Rates are whole numbers: below 50 is 49 or less."""
        enough = rules.enough_of(limit.level)
        if limit.level is AlertLevel.LOW:
            edge = 1 - math.ceil(limit.bpm)
            return cls(limit, enough, rules.slack_bpm, -1, edge, edge)
        return cls(limit, enough, rules.slack_bpm, 1, limit.bpm, limit.after_a_jump().bpm)

    @property
    def is_decided(self) -> bool:
        """Whether it is an episode."""
        return self.count >= self.enough

    def take(self, beat: Beat) -> None:
        """Count a reading, or let it break the run."""
        rate, edge = self.sign * beat.bpm, self.edge
        if beat.is_risen and (self.count or beat.jumped_s <= SUDDEN_WITHIN_S):
            edge = min(edge, self.sudden_edge)
        self.is_beyond = rate >= edge and (self.sign > 0 or beat.can_be_low)
        if self.is_beyond:
            self.count += 1
            self.passed = self.limit if rate >= self.edge else self.limit.after_a_jump()
        elif self.count and (rate < edge - self.slack_bpm or rate >= edge):
            self.break_off()

    def say(self, sample: HeartRate, is_fresh: bool) -> Alert | None:
        """Say the alert: the first time, and again while it is of use and for some time unsaid."""
        at = sample.measured_at.timestamp()
        is_new = self.began_at is None
        is_due = self.said_at is None or at - self.said_at >= SAY_AGAIN_AFTER_S
        if not is_new and not (is_fresh and is_due):
            return None
        self.began_at = self.began_at or sample.measured_at
        if is_fresh:
            self.said_at = at
        return Alert(sample, self.passed or self.limit, self.began_at)

    def break_off(self) -> None:
        """The episode is over, or was none."""
        self.count = 0
        self.is_beyond = False
        self.passed = self.began_at = self.said_at = None


class WatchedRide(Struct):
    """What is known of a ride: its sensor, and its runs, most severe first (none: alerts are off).

    `held_bpm` is the highest rate that the heart held for `PROVEN_AFTER_S`, without a jump; 0: none
    yet. `notes` are readings of the last while, as (seconds since the epoch, offset).
    """

    runs: list[Run]
    calm: Calm
    sensor: Sensor = field(default_factory=Sensor)
    last_at: float = 0.0
    believed_at: float = 0.0
    is_counting: bool = False
    arrived_at: float = 0.0
    held_bpm: int = 0
    held: deque[int] = field(default_factory=lambda: deque(maxlen=PROVEN_AFTER_S))
    notes: deque[tuple[float, int]] = field(default_factory=deque)

    @classmethod
    def of(cls, limits: Sequence[Limit], rules: EpisodeRules) -> "WatchedRide":
        """A ride of which no reading is known yet."""
        runs = [Run.of(limit, rules) for limit in reversed(limits)]
        return cls(runs, Calm(NormalRange.of(limits)))

    def take(
        self, offset: int, sample: HeartRate, rules: EpisodeRules, fresh_from: float
    ) -> Alert | Recovery | None:
        """Take the next reading; return the alert that it makes, the most severe one.

        Or, where a danger was told, that it is over and stays so.
        """
        at = sample.measured_at.timestamp()
        if at <= self.last_at:
            return None
        self.last_at = at
        self._note(at, offset)
        beat = self.judge(at, sample.heart_rate_bpm, sample.cadence_rpm, rules)
        decided = self.decide(beat, rules) if beat else []
        said = [run.say(sample, at >= fresh_from) for run in decided]
        if said:
            self.calm.see_danger(at, sample.heart_rate_bpm, decided[0].limit.level)
            # The less severe ones are said with the most severe one.
            return said[0]
        return self.calm.take(at, sample) if beat and self.calm.is_awaited else None

    def judge(
        self, at: float, bpm: int, cadence_rpm: int | None, rules: EpisodeRules
    ) -> Beat | None:
        """What a reading tells of the heart; None where it cannot be believed."""
        sensor = self.sensor
        if not sensor.believes(at, bpm, cadence_rpm):
            return None
        is_under_load = cadence_rpm is None or cadence_rpm >= rules.load_rpm
        is_steady = at - sensor.believed_from >= rules.steady_s
        jumped_s = at - sensor.doubt_from
        return Beat(at, bpm, sensor.risen_bpm(bpm), jumped_s, is_under_load and is_steady)

    def decide(self, beat: Beat, rules: EpisodeRules) -> list[Run]:
        """Count a reading; the runs that are episodes now and wait for none that is more severe."""
        if beat.at - self.believed_at >= rules.gap_s:
            self._break_off()
            self.is_counting = False
        self.believed_at = beat.at
        self._prove(beat)
        if not self.is_counting and self._is_usual(beat):
            return []
        for run in self.runs:
            run.take(beat)
        self.is_counting = any(run.count for run in self.runs)
        decided = []
        for run in self.runs:
            if run.is_decided:
                decided.append(run)
            elif run.is_beyond:
                break
        return decided

    def _is_usual(self, beat: Beat) -> bool:
        """Whether a reading is beyond no limit; most are, so that it pays to know."""
        return not beat.is_risen and all(run.sign * beat.bpm < run.edge for run in self.runs)

    def _prove(self, beat: Beat) -> None:
        if beat.is_risen:
            self.held.clear()
            return
        self.held.append(beat.bpm)
        if beat.bpm > self.held_bpm and len(self.held) == PROVEN_AFTER_S:
            self.held_bpm = max(self.held_bpm, min(self.held))

    def _break_off(self) -> None:
        self.held.clear()
        for run in self.runs:
            run.break_off()

    def _note(self, at: float, offset: int) -> None:
        """Remember where a successor would have to begin to judge this reading as we do."""
        if not self.notes or at - self.notes[-1][0] >= NOTE_EVERY_S:
            self.notes.append((at, offset))
        while len(self.notes) > 1 and at - self.notes[1][0] >= LOOK_BACK_S:
            self.notes.popleft()


class PartitionWatch(Struct):
    """The rides of one partition; `arrived_at` is when its newest record came to Kafka."""

    rules: EpisodeRules
    rides: dict[int, WatchedRide] = field(default_factory=dict)
    arrived_at: float = 0.0

    def unknown_rides(self, samples: Iterable[tuple[int, HeartRate]]) -> set[int]:
        """The rides whose limits have to be looked up first."""
        return {sample.ride_id for _, sample in samples}.difference(self.rides)

    def learn(
        self, ride_id: int, limits: Sequence[Limit], *, awaits_recovery: bool = False
    ) -> None:
        """Watch a ride by these limits; without any it is left alone.

        `awaits_recovery`: its rider was told of a danger, and not yet that it is over.
        """
        self.rides[ride_id] = WatchedRide.of(limits, self.rules)
        if awaits_recovery:
            self.rides[ride_id].calm.await_recovery()

    def end_waiting(self, ride_ids: Iterable[int]) -> None:
        """Nobody has to be told any more that these rides' dangers are over."""
        for number in ride_ids:
            if ride := self.rides.get(number):
                ride.calm.is_awaited = False

    def decide_alerts(
        self,
        samples: Iterable[tuple[int, HeartRate]],
        arrived_at: float,
        fresh_from: float = 0.0,
    ) -> Iterator[Alert]:
        """As `decide`, the alerts alone."""
        said = self.decide(samples, arrived_at, fresh_from)
        return (each for each in said if isinstance(each, Alert))

    def decide(
        self,
        samples: Iterable[tuple[int, HeartRate]],
        arrived_at: float,
        fresh_from: float = 0.0,
    ) -> Iterator[Alert | Recovery]:
        """Take readings with their offsets, of rides that are known; yield what has to be told.

        They came to Kafka up to `arrived_at`. An alert about a reading before `fresh_from` comes
        too late to be of use: it is said once, and anew from the first reading that is not. Both
        are seconds since the epoch.
        """
        self.arrived_at = max(self.arrived_at, arrived_at)
        for offset, sample in samples:
            ride = self.rides[sample.ride_id]
            ride.arrived_at = self.arrived_at
            said = ride.take(offset, sample, self.rules, fresh_from)
            if said is not None:
                yield said

    def forget_silent_rides(self) -> dict[int, int]:
        """Bound the memory: forget of whom nothing came for long; what their hearts held, in bpm.

        By ride; without those that held no rate for long enough.
        """
        oldest = self.arrived_at - FORGET_AFTER_S
        silent = [number for number, ride in self.rides.items() if ride.arrived_at < oldest]
        held = self.held_rates(silent)
        for number in silent:
            del self.rides[number]
        return held

    def held_rates(self, ride_ids: Iterable[int] | None = None) -> dict[int, int]:
        """What hearts held so far, in bpm, by ride: of these rides, or of all."""
        numbers = self.rides if ride_ids is None else ride_ids
        rides = {number: self.rides[number] for number in numbers}
        return {number: ride.held_bpm for number, ride in rides.items() if ride.held_bpm}

    def safe_offset(self, next_offset: int) -> int:
        """Where a successor has to go on to miss no alert: at or before `next_offset`."""
        recent = self.arrived_at - HOLD_BACK_S
        begun = (
            ride.notes[0][1]
            for ride in self.rides.values()
            if ride.arrived_at > recent and ride.notes
        )
        return min(begun, default=next_offset)
