"""SHELL: starts the simulator: `python -m bike_simulator --help`."""

import asyncio
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import IO, Annotated

import typer
from aiokafka.errors import KafkaError

from bike_simulator.app import run
from bike_simulator.faults import FAULT_MEANINGS, FAULT_PRESETS, FaultRates
from bike_simulator.fleet import FleetPlan, epoch_us
from bike_simulator.kafka import KafkaOutlet, TopicMissing
from bike_simulator.logs import log_to_stderr
from bike_simulator.outlets import FileOutlet
from bike_simulator.pacing import AT_ONCE, Pace, parse_duration
from bike_simulator.settings import read_settings

FAULTS_HELP = " ".join(f"{kind}: {meaning}." for kind, meaning in FAULT_MEANINGS.items())


class Preset(StrEnum):
    """The names of FAULT_PRESETS, for the command line."""

    NONE = "none"
    LIGHT = "light"
    HEAVY = "heavy"


app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


def main() -> None:
    """Run the command line."""
    app()


@app.command()
def simulate_fleet(  # noqa: PLR0913, PLR0917 (one argument an option)
    bikes: Annotated[int, typer.Option(help="How many bikes.")] = 50,
    seed: Annotated[int, typer.Option(help="Equal seeds, equal riders and rides.")] = 7,
    since: Annotated[str, typer.Option(help="Begin that long ago, e.g. 36h, 90m.")] = "",
    start: Annotated[str, typer.Option(help="Begin at this ISO time (UTC if no zone).")] = "",
    until: Annotated[str, typer.Option(help="End at this ISO time.")] = "",
    duration: Annotated[str, typer.Option(help="End that long after the beginning.")] = "",
    live: Annotated[bool, typer.Option(help="Go on in real time once the past is sent.")] = True,
    speed: Annotated[float, typer.Option(help="Of the live part: 2 is twice as fast.")] = 1.0,
    back_to_back: Annotated[bool, typer.Option(help="Ride after ride, all bikes.")] = False,
    round_the_clock: Annotated[int, typer.Option(help="As many bikes never rest.")] = 0,
    dangerous_riders: Annotated[int, typer.Option(help="Riders whose heart races.")] = 0,
    faint_riders: Annotated[int, typer.Option(help="Riders whose heart nearly stops.")] = 0,
    dangerous_share: Annotated[float, typer.Option(help="Of all rides, those with either.")] = 0.0,
    first_danger: Annotated[str, typer.Option(help="A heart races that long after now.")] = "",
    broken_power_sensors: Annotated[int, typer.Option(help="Bikes that measure too much.")] = 0,
    sandbox: Annotated[bool, typer.Option(help="For partners: marked as simulated.")] = False,
    faults: Annotated[Preset, typer.Option(help="A preset of faults.")] = Preset.NONE,
    fault: Annotated[list[str] | None, typer.Option(help=f"KIND=RATE. {FAULTS_HELP}")] = None,
    out: Annotated[str, typer.Option(help="Write to this file, - for stdout, not Kafka.")] = "",
    create_topic: Annotated[bool, typer.Option(help="Create the topic if missing.")] = False,
    partitions: Annotated[int, typer.Option(help="Of the topic created.")] = 8,
) -> None:
    """Simulate a fleet of exercise bikes and send what they say to Kafka (RAW_TOPIC)."""
    now = datetime.now(UTC)
    with one_sentence(ValueError):
        settings = read_settings(os.environ)
        log_to_stderr(settings.log_level)
        start_at = begin(now, since, start)
        plan = FleetPlan(
            start_at=start_at,
            bikes=bikes,
            seed=seed,
            until_at=end(start_at, until, duration) or (None if live else now),
            back_to_back=back_to_back,
            round_the_clock=round_the_clock,
            sandbox=sandbox,
            dangerous_riders=dangerous_riders,
            faint_riders=faint_riders,
            dangerous_share=dangerous_share,
            danger_at=now + parse_duration(first_danger) if first_danger else None,
            broken_power_sensors=broken_power_sensors,
            faults=with_single_faults(FAULT_PRESETS[faults], fault or []),
        )
        pace = Pace(epoch_us(now), above_zero("--speed", speed)) if live else AT_ONCE
        create_partitions = int(above_zero("--partitions", partitions)) if create_topic else None
    with one_sentence(TopicMissing, OSError, KafkaError):
        if out:
            with opened(out) as file:
                asyncio.run(run(plan, FileOutlet(file), pace))
        else:
            asyncio.run(run(plan, KafkaOutlet(settings, create_partitions), pace))


@contextmanager
def one_sentence(*expected: type[Exception]) -> Iterator[None]:
    """End with the error's own words in place of a trace; only for errors one can expect."""
    try:
        yield
    except expected as error:
        sys.exit(f"bike-simulator: {error}")


def begin(now: datetime, since: str, start: str) -> datetime:
    """When the fleet's time begins: now, unless told otherwise."""
    if since and start:
        raise ValueError("Say --since or --start, not both.")
    return parse_time(start) if start else now - (parse_duration(since) if since else timedelta())


def end(start_at: datetime, until: str, duration: str) -> datetime | None:
    """When the fleet's time ends; None for never."""
    if until and duration:
        raise ValueError("Say --until or --duration, not both.")
    if duration:
        return start_at + parse_duration(duration)
    return parse_time(until) if until else None


def parse_time(text: str) -> datetime:
    """An ISO time, or ValueError; UTC where no zone is given."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is no ISO time like 2026-03-02T09:15:00Z.") from None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def with_single_faults(rates: FaultRates, singles: list[str]) -> FaultRates:
    """The preset's rates with those given as `kind=rate` in their place."""
    for single in singles:
        kind, _, rate = single.partition("=")
        try:
            rates = rates.but(kind, float(rate))
        except ValueError as error:
            detail = str(error) if "float" not in str(error) else f"{rate!r} is no number."
            raise ValueError(f"--fault {single}: {detail}") from None
    return rates


def above_zero(option: str, number: float) -> float:
    """The number, or ValueError."""
    if not number > 0:
        raise ValueError(f"{option} must be above 0, not {number}.")
    return number


@contextmanager
def opened(out: str) -> Iterator[IO[str]]:
    """The file to write to; `-` is stdout, which stays open."""
    if out == "-":
        yield sys.stdout
    else:
        with Path(out).open("w", encoding="utf-8") as file:
            yield file


if __name__ == "__main__":
    main()
