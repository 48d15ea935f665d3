"""Whom the rules of alerts tell, and whom they should: measured on a simulated population.

Riders whose true maxima lie around the published means as people's do ride from easily to all-out,
with sensors that err, and some of them into danger. Told beside our rules, as the alerter runs
them: ours of before, and three that others use. A mail to a healthy rider is false; a danger is
found when the rider is mailed from half a minute before it begins on.

`--picture docs/alert-limits.svg` draws what is gained and lost by where the critical limit lies.
"""

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import altair as alt
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.system import machine
from bike_simulator.population import (
    ARTEFACTS,
    DANGERS,
    EFFORT_NAMES,
    SECONDS,
    Rides,
    dangerous_rides,
    healthy_rides,
    rides_with_artefacts,
)
from deloton.events import HeartRate
from deloton.rules.heart_rate import (
    ENOUGH_RIDES,
    AlertLevel,
    Limit,
    LimitPolicy,
    Proof,
    expected_maximum_bpm,
    limits_of,
)
from deloton.rules.plausible import PLAUSIBLE
from deloton.showing.palette import ALERT_COLOURS, BLUE, GREY
from hr_alerter.episodes import Alert, EpisodeRules, WatchedRide
from hr_alerter.recovery import NormalRange, Recovery
from hr_alerter.sensor import SensorRules

# Of all rides, so many are of each kind.
SHARES: Final = {"easy": 0.08, "moderate": 0.08, "hard": 0.14, "all-out": 0.25}
ARTEFACTS_SHARE, DANGERS_SHARE = 0.25, 0.20
AT_ONCE: Final = 2_500
FOUND_FROM_S: Final = -30
NEVER: Final = 10_000
# Of all rides, so many are drawn once more for each way in which a danger ends.
RELIEFS_SHARE: Final = 200
RIDE_BEGAN: Final = datetime(2026, 3, 2, 9, tzinfo=UTC)

Seconds = NDArray[np.int64]
# By level, the second of each ride at which it is decided; `NEVER` where it is not.
Decisions = dict[AlertLevel, Seconds]
RulesOf = Callable[[Rides], Decisions]


def population(rides: int, seed: int) -> Iterator[Rides]:
    """The rides of every kind, some thousand at once: equal seeds, equal rides."""
    rng = np.random.default_rng(seed)
    makers: list[tuple[Callable[[np.random.Generator, int, str], Rides], str, float]] = [
        *((healthy_rides, effort, share) for effort, share in SHARES.items()),
        *((rides_with_artefacts, kind, ARTEFACTS_SHARE / len(ARTEFACTS)) for kind in ARTEFACTS),
        *((dangerous_rides, kind, DANGERS_SHARE / len(DANGERS)) for kind in DANGERS),
    ]
    for make, kind, share in makers:
        left = round(rides * share)
        while left > 0:
            count = min(left, AT_ONCE)
            left -= count
            yield make(rng, count, kind)


def ours(policy: LimitPolicy, rules: EpisodeRules) -> RulesOf:
    """Our rules, by the alerter's own code; rides that never come near a limit are passed over."""

    def decide(rides: Rides) -> Decisions:
        decisions = {level: np.full(len(rides), NEVER) for level in AlertLevel}
        for row, limits in enumerate(limits_in(rides, policy)):
            until_s = near_until_s(rides.heart_rate_bpm[row], limits, rules)
            if until_s:
                for level, second in first_alerts(rides, row, limits, rules, until_s).items():
                    decisions[level][row] = second
        return decisions

    return decide


def near_until_s(
    beats: NDArray[np.int16], limits: tuple[Limit, Limit, Limit], rules: EpisodeRules
) -> int:
    """Up to where a ride's readings could make an alert, were they all believed; 0: nowhere."""
    low, high, _ = limits
    jumps = np.any((np.diff(beats) > SensorRules().jump_bpm_per_s) & (beats[:-1] > 0))
    nearest = high.after_a_jump().bpm if jumps else high.bpm
    beyond = np.flatnonzero((beats >= nearest) | ((beats > 0) & (beats < low.bpm)))
    if beyond.size < min(rules.low_s, rules.high_s, rules.critical_s):
        return 0
    return int(beyond[-1]) + 1


def limits_in(rides: Rides, policy: LimitPolicy) -> Iterator[tuple[Limit, Limit, Limit]]:
    """The limits of each ride."""
    facts = zip(
        rides.age.tolist(), rides.proven_bpm.tolist(), rides.earlier_rides.tolist(), strict=True
    )
    for age, proven_bpm, earlier in facts:
        proof = Proof(round(proven_bpm), earlier) if earlier else None
        yield limits_of(age, policy, None, proof)


def first_alerts(
    rides: Rides, row: int, limits: Sequence[Limit], rules: EpisodeRules, until_s: int
) -> dict[AlertLevel, int]:
    """The second at which each level of a ride is first said."""
    ride = WatchedRide.of(limits, rules)
    found: dict[AlertLevel, int] = {}
    beats, cadence = rides.heart_rate_bpm[row, :until_s], rides.cadence_rpm[row, :until_s]
    both = zip(beats.tolist(), cadence.tolist(), strict=True)
    for second, (bpm, rpm) in enumerate(both):
        beat = ride.judge(1_000.0 + second, bpm, rpm, rules) if bpm else None
        decided = ride.decide(beat, rules) if beat else ()
        for run in decided[:1]:
            found.setdefault(run.limit.level, second)
        # Who was told the worst is told nothing more.
        if AlertLevel.CRITICAL in found:
            break
    return found


def readings_in_a_row(readings: int, gap_s: int = 10) -> Callable[[Rides, Seconds, int], Seconds]:
    """A rule: so many measured readings in a row beyond a limit."""

    def decide(rides: Rides, limit_bpm: Seconds, sign: int) -> Seconds:
        count = np.zeros(len(rides), dtype=np.int64)
        away = np.zeros(len(rides), dtype=np.int64)
        found = np.full(len(rides), NEVER)
        for second in range(rides.heart_rate_bpm.shape[1]):
            bpm = rides.heart_rate_bpm[:, second].astype(np.int64)
            measured = (bpm > 0) & (bpm <= PLAUSIBLE["heart_rate_bpm"].highest)
            away = np.where(measured, 0, away + 1)
            count[away >= gap_s - 1] = 0
            beyond = sign * bpm >= sign * limit_bpm
            count = np.where(measured, np.where(beyond, count + 1, 0), count)
            found = np.where((count >= readings) & (found == NEVER), second, found)
        return found

    return decide


def mean_of_the_last(readings: int) -> Callable[[Rides, Seconds, int], Seconds]:
    """A rule: the mean of the last so many measured readings beyond a limit."""

    def decide(rides: Rides, limit_bpm: Seconds, sign: int) -> Seconds:
        last = np.zeros((len(rides), readings), dtype=np.int64)
        found = np.full(len(rides), NEVER)
        rows = np.arange(len(rides))
        place = np.zeros(len(rides), dtype=np.int64)
        for second in range(rides.heart_rate_bpm.shape[1]):
            bpm = rides.heart_rate_bpm[:, second].astype(np.int64)
            measured = rows[bpm > 0]
            last[measured, place[measured] % readings] = bpm[measured]
            place[measured] += 1
            beyond = sign * last.mean(axis=1) >= sign * limit_bpm
            now = beyond & (place >= readings) & (bpm > 0) & (found == NEVER)
            found = np.where(now, second, found)
        return found

    return decide


def before(rides: Rides) -> Decisions:
    """Our rules up to version 0.1: three readings from the expected maximum, or 90 % of it, on."""
    maximum = np.array([expected_maximum_bpm(age) for age in rides.age.tolist()])
    three = readings_in_a_row(3)
    critical = three(rides, np.ceil(maximum).astype(np.int64), 1)
    high = three(rides, np.ceil(0.9 * maximum).astype(np.int64), 1)
    low = three(rides, np.full(len(rides), 49), -1)
    return {AlertLevel.CRITICAL: critical, AlertLevel.HIGH: high, AlertLevel.LOW: low}


def beyond_220_less_age(rule: Callable[[Rides, Seconds, int], Seconds]) -> RulesOf:
    """One limit alone: 220 − age."""

    def decide(rides: Rides) -> Decisions:
        never = np.full(len(rides), NEVER)
        critical = rule(rides, 220 - rides.age.astype(np.int64), 1)
        return {AlertLevel.CRITICAL: critical, AlertLevel.HIGH: never, AlertLevel.LOW: never}

    return decide


PEERS: Final[dict[str, RulesOf]] = {
    "ours, before": before,
    "mean of the last 5 beyond 220 − age": beyond_220_less_age(mean_of_the_last(5)),
    "any reading beyond 220 − age": beyond_220_less_age(readings_in_a_row(1)),
    "three in a row beyond 220 − age": beyond_220_less_age(readings_in_a_row(3)),
}


@dataclass(frozen=True)
class Measured:
    """What rules decided of some rides: a row a ride.

    `kind`, `earlier` (rides), `began_s`, and the second of each level's decision (`NEVER`: none).
    """

    rides: pd.DataFrame

    def of(self, *kinds: str) -> pd.DataFrame:
        """The rides of these kinds."""
        return self.rides[self.rides["kind"].isin(kinds)]


def measure(rules: dict[str, RulesOf], rides: int, seed: int) -> dict[str, Measured]:
    """What each of the rules decides, on the same rides."""
    found: dict[str, list[pd.DataFrame]] = {name: [] for name in rules}
    for some in population(rides, seed):
        for name, rule in rules.items():
            found[name].append(_row_each(some, rule(some)))
    return {name: Measured(pd.concat(each, ignore_index=True)) for name, each in found.items()}


def _row_each(rides: Rides, decisions: Decisions) -> pd.DataFrame:
    facts = {"kind": rides.kind, "earlier": rides.earlier_rides, "began_s": rides.began_s}
    return pd.DataFrame(facts | {level.value: decisions[level] for level in AlertLevel})


def per_1000(rides: pd.DataFrame, *levels: str) -> float:
    """Rides with a mail of one of the levels, in a thousand."""
    return 1000 * float((rides[list(levels)] < NEVER).any(axis=1).mean())


def found_within_s(rides: pd.DataFrame) -> pd.Series:
    """Seconds from the danger's beginning to the first mail about it; NaN where none came."""
    levels = [rides[level] - rides["began_s"] for level in ("high", "critical")]
    if rides["kind"].iloc[0] == "slow":
        levels = [rides["low"] - rides["began_s"]]
    apart = pd.concat(levels, axis=1)
    apart = apart.where((apart >= FOUND_FROM_S) & (apart < SECONDS))
    return apart.min(axis=1).clip(lower=0)


LEVELS: Final = ("low", "high", "critical")


def print_false(found: dict[str, Measured]) -> None:
    """False mails in 1,000 rides of healthy people."""
    print("| False mails in 1,000 rides | " + " | ".join(found) + " |")
    print("|---|" + "--:|" * len(found))
    for name, kinds, some, levels in _ROWS:
        told = [f"{per_1000(some(m.of(*kinds)), *levels):.2f}" for m in found.values()]
        print(f"| {name} | " + " | ".join(told) + " |")


def _first(rides: pd.DataFrame) -> pd.DataFrame:
    return rides[rides["earlier"] == 0]


def _later(rides: pd.DataFrame) -> pd.DataFrame:
    return rides[rides["earlier"] >= ENOUGH_RIDES]


def _all(rides: pd.DataFrame) -> pd.DataFrame:
    return rides


# What is told, of which rides, and which mails count.
_HARD: Final = ("hard", "all-out")
_ROWS: Final[
    list[tuple[str, Sequence[str], Callable[[pd.DataFrame], pd.DataFrame], Sequence[str]]]
] = [
    *((f"{effort}: any", (effort,), _all, LEVELS) for effort in EFFORT_NAMES),
    ("all-out, first rides: critical", ("all-out",), _first, ("critical",)),
    ("all-out, later rides: critical", ("all-out",), _later, ("critical",)),
    ("hard, first rides: high", ("hard",), _first, ("high",)),
    ("hard, later rides: high", ("hard",), _later, ("high",)),
    ("all-out, first rides: high", ("all-out",), _first, ("high",)),
    ("all-out, later rides: high", ("all-out",), _later, ("high",)),
    ("hard and all-out, later rides: high", _HARD, _later, ("high",)),
    ("all artefacts: critical", ARTEFACTS, _all, ("critical",)),
    *((f"artefact {artefact}: any", (artefact,), _all, LEVELS) for artefact in ARTEFACTS),
]


def print_found(found: dict[str, Measured]) -> None:
    """Dangers found, and how soon."""
    print("\n| Dangers found, seconds at the median and for 95 % | " + " | ".join(found) + " |")
    print("|---|" + "--:|" * len(found))
    names = {**{danger: (danger,) for danger in DANGERS}, "all": DANGERS}
    for name, kinds in names.items():
        print(f"| {name} | " + " | ".join(_found(m, kinds) for m in found.values()) + " |")
    for name, some in (("first rides", _first), ("later rides", _later)):
        told = [_found(Measured(some(m.rides)), DANGERS) for m in found.values()]
        print(f"| all, {name} | " + " | ".join(told) + " |")


def _found(measured: Measured, kinds: Sequence[str]) -> str:
    within = pd.concat([found_within_s(measured.of(kind)) for kind in kinds])
    share = within.notna().mean()
    if share == 0:
        return "none"
    return f"{share:.2%}, {within.quantile(0.5):.0f} s, {within.quantile(0.95):.0f} s"


# What the sensor shows from the danger's height on. The heart comes down, or races on unseen.
COMES_DOWN: Final = ("comes down, hands on", "comes down, hands as they were")
RACES_ON: Final = ("halved", "cadence lock", "lock, 3 off", "loose grip", "fall, then frozen")
LASTS_S: Final = 40


def print_reliefs(rides: int, seed: int) -> None:
    """Who is told “back to normal” after a climb that was told: hearts that are, and that race."""
    print("\n| After a danger that was told | back to normal is told of |")
    print("|---|--:|")
    for shown in (*COMES_DOWN, *RACES_ON):
        told, relieved = reliefs(np.random.default_rng(seed), rides, shown)
        what = "" if shown in COMES_DOWN else "false, heart races on: "
        print(f"| {what}{shown} | {relieved:,} of {told:,} ({relieved / max(1, told):.1%}) |")


def reliefs(rng: np.random.Generator, count: int, shown: str) -> tuple[int, int]:
    """How many riders were told of their danger, and of these how many that it is over."""
    rides = dangerous_rides(rng, count, "climb")
    told = relieved = 0
    for row, limits in enumerate(limits_in(rides, LimitPolicy())):
        from_s = int(rides.began_s[row]) + LASTS_S
        spoil_after_danger(rng, shown, rides, row, from_s, NormalRange.of(limits).below)
        said = list(_all_said(rides, row, limits))
        told += any(isinstance(each, Alert) for each in said)
        relieved += any(isinstance(each, Recovery) for each in said)
    return told, relieved


def _all_said(rides: Rides, row: int, limits: Sequence[Limit]) -> Iterator[Alert | Recovery]:
    ride, rules = WatchedRide.of(limits, EpisodeRules()), EpisodeRules()
    both = zip(rides.heart_rate_bpm[row].tolist(), rides.cadence_rpm[row].tolist(), strict=True)
    for second, (bpm, rpm) in enumerate(both):
        if bpm:
            moment = RIDE_BEGAN + timedelta(seconds=second)
            said = ride.take(second, HeartRate(1, 1, moment, bpm, rpm), rules, 0.0)
            if said is not None:
                yield said


def spoil_after_danger(
    rng: np.random.Generator, shown: str, rides: Rides, row: int, from_s: int, normal_bpm: float
) -> None:
    """Write into a ride what its sensor shows from a second on; normal is below `normal_bpm`."""
    beats = rides.heart_rate_bpm[row, from_s:]
    maximum, height, held = float(rides.maximum_bpm[row]), float(beats[0]), beats > 0
    seconds, waver = np.arange(beats.size), np.clip(rng.normal(0, 1.0, beats.size), -2, 2)
    rest, tau_s = maximum * rng.uniform(0.5, 0.6), rng.uniform(40, 80)
    falls = rest + (height - rest) * np.exp(-seconds / tau_s) + waver
    frozen_from = min(int(np.argmax(falls < normal_bpm)) + 10, beats.size - 1)
    values = {
        "halved": (height + 4 * waver) / 2,
        "cadence lock": rides.cadence_rpm[row, from_s:] + rng.integers(-1, 2, beats.size),
        "lock, 3 off": rides.cadence_rpm[row, from_s:] + 3 * (seconds % 3 == 0),
        "loose grip": rng.uniform(62, 80) + waver,
        "fall, then frozen": np.where(seconds < frozen_from, falls, falls[frozen_from]),
    }.get(shown, falls)
    if shown != "comes down, hands as they were":
        held = np.ones(beats.size, dtype=np.bool_)
    beats[:] = np.where(held, np.rint(np.maximum(values, 0)), 0)


def picture(rides: int, seed: int) -> alt.LayerChart | alt.FacetChart:
    """What moves with the critical limit, in standard errors above the expected maximum."""
    errors = [1.0, 1.5, 2.0, 2.5, 2.75, 3.0, 3.5]
    policy, rules = LimitPolicy(), EpisodeRules()
    variants = {
        str(each): ours(policy_with(policy, critical_errors=each), rules) for each in errors
    }
    rows = []
    for name, measured in measure(variants, rides, seed).items():
        all_out, jumps = measured.of("all-out"), measured.of("climb", "jump")
        rows += [
            (float(name), "all-out first rides told “stop”", per_1000(_first(all_out), "critical")),
            (float(name), "all-out later rides told “stop”", per_1000(_later(all_out), "critical")),
            (float(name), "dangers told “stop”", per_1000(jumps, "critical")),
        ]
    table = pd.DataFrame(rows, columns=["errors", "what", "rides"])
    table["rides"] = table["rides"].clip(lower=0.1)
    colours = alt.Scale(
        domain=sorted(set(table["what"])), range=[ALERT_COLOURS["critical"], BLUE, GREY]
    )
    lines = (
        alt.Chart(table, title="Where “stop” begins: false mails against dangers told so")
        .mark_line(point=True)
        .encode(
            alt.X("errors:Q", title="critical limit: standard errors above the expected maximum"),
            alt.Y("rides:Q", title="of 1,000 rides", scale=alt.Scale(type="log")),
            alt.Color("what:N", title=None, scale=colours, legend=alt.Legend(orient="bottom")),
        )
    )
    chosen = (
        alt.Chart(pd.DataFrame({"errors": [policy.critical_errors]}))
        .mark_rule(strokeDash=[4, 4])
        .encode(x="errors:Q")
    )
    return alt.layer(lines, chosen).properties(width=560, height=320)


def policy_with(policy: LimitPolicy, **changes: float) -> LimitPolicy:
    """The policy with other numbers."""
    fields = {name: getattr(policy, name) for name in policy.__struct_fields__}
    return LimitPolicy(**fields | changes)


def main() -> None:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rides", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=20)
    parser.add_argument("--picture", type=Path, help="draw the curve into this SVG file instead")
    options = parser.parse_args()
    if options.picture:
        picture(options.rides, options.seed).save(options.picture)
        return
    begun = time.monotonic()
    rules = {"ours": ours(LimitPolicy(), EpisodeRules()), **PEERS}
    found = measure(rules, options.rides, options.seed)
    print(f"{options.rides:,} rides, seed {options.seed}; {machine()}\n")
    print_false(found)
    print_found(found)
    print_reliefs(options.rides // RELIEFS_SHARE, options.seed)
    lasted_s, cpu_s = time.monotonic() - begun, time.process_time()
    print(f"\n{lasted_s:.0f} s, of which {cpu_s:.0f} s of one core.")


if __name__ == "__main__":
    main()
