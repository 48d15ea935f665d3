"""EDGE: what can be chosen about the demo: where it listens, how large its fleet is."""

import argparse
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bike_simulator.faults import FAULT_PRESETS
from bike_simulator.pacing import parse_duration
from demo.errors import DemoError

REPOSITORY = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Port:
    """A port a person may want to open, and the variable that moves it."""

    purpose: str
    variable: str
    default: int


# Below the range systems hand out to clients, beside the servers' usual numbers: what a
# developer already runs does not collide.
DATABASE = Port("the demo's PostgreSQL", "DEMO_DATABASE_PORT", 15432)
KAFKA = Port("the demo's Kafka broker", "DEMO_KAFKA_PORT", 19092)
INGESTOR = Port("the ingestor's health and metrics", "DEMO_INGESTOR_PORT", 19101)
DASHBOARD = Port("the dashboard", "DEMO_DASHBOARD_PORT", 18501)
ALERTER = Port("the alerter's health and metrics", "DEMO_ALERTER_PORT", 19102)
INBOX_SMTP = Port("the inbox's mail server", "DEMO_INBOX_SMTP_PORT", 11025)
INBOX = Port("the inbox's pages", "DEMO_INBOX_PORT", 18025)
API = Port("the API", "DEMO_API_PORT", 18000)
CANARY = Port("the canary's health and metrics", "DEMO_CANARY_PORT", 19103)
WEBHOOKS = Port("the health and metrics of webhooks", "DEMO_WEBHOOKS_PORT", 19104)
PORTS = (DATABASE, KAFKA, INGESTOR, DASHBOARD, ALERTER, INBOX_SMTP, INBOX, API, CANARY, WEBHOOKS)


@dataclass(frozen=True)
class Settings:
    """One demo: its ports, its run directory, its fleet."""

    ports: Mapping[str, int]
    run_directory: Path
    bikes: int
    since: str
    seed: int
    faults: str
    dangerous_share: float
    first_danger: str
    back_to_back: bool
    stop_with_parent: bool

    @property
    def mails(self) -> Path:
        """The folder of the mails that the inbox was given."""
        return self.run_directory / "mails"

    @property
    def exports(self) -> Path:
        """The folder of the exports that the API made."""
        return self.run_directory / "exports"

    @property
    def reports(self) -> Path:
        """The folder of the reports' PDFs."""
        return self.run_directory / "reports"

    def port(self, port: Port) -> int:
        """Return the number chosen for a port."""
        return self.ports[port.variable]


def read_settings(arguments: Sequence[str]) -> Settings:
    """Read the command line and the environment; a wrong one ends the program with a sentence."""
    options = make_parser().parse_args(arguments)
    _refuse_impossible_fleet(options)
    return Settings(
        ports={port.variable: port_number(port, os.environ) for port in PORTS},
        run_directory=Path(os.environ.get("DEMO_DIRECTORY") or REPOSITORY / ".demo").absolute(),
        **vars(options),
    )


def _refuse_impossible_fleet(options: argparse.Namespace) -> None:
    """What the simulator would refuse is said before anything is started."""
    if options.bikes < 1:
        raise DemoError(f"--bikes={options.bikes}: a fleet needs at least one bike.")
    if options.faults not in FAULT_PRESETS:
        raise DemoError(f"--faults={options.faults} is not one of {', '.join(FAULT_PRESETS)}.")
    try:
        parse_duration(options.since)
    except ValueError as error:
        raise DemoError(f"--since: {error}") from error


def port_number(port: Port, environment: Mapping[str, str]) -> int:
    """Return a port's number from the environment, or its default."""
    text = environment.get(port.variable, "") or str(port.default)
    if not text.isdecimal() or not 1 <= int(text) <= 65535:  # noqa: PLR2004  the largest there is
        raise DemoError(f"{port.variable}={text} is no port: give a number from 1 to 65535.")
    return int(text)


def make_parser() -> argparse.ArgumentParser:
    """Return the command line's parser."""
    ports = "\n".join(f"  {p.variable:<20} {p.purpose} ({p.default})" for p in PORTS)
    parser = argparse.ArgumentParser(
        prog="python -m demo",
        description="Deloton on this machine: database, broker, services, a simulated fleet.",
        epilog=f"environment:\n{ports}\n  DEMO_DIRECTORY       logs, mails, reports, lock (.demo)",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--bikes", type=int, default=50, help="size of the fleet (50)")
    add("--since", default="36h", help="how far back its history begins (36h)")
    add("--seed", type=int, default=1, help="the same seed rides the same rides (1)")
    add("--faults", default="light", help="how often lines are cut, lost, doubled (light)")
    add(
        "--dangerous-share",
        type=float,
        default=0.005,
        help="of all rides, those with a heart that races or beats too slowly (0.005)",
    )
    add("--first-danger", default="2m", help="when the first heart races (2m after the start)")
    add("--back-to-back", action="store_true", help="every bike rides round the clock")
    add("--stop-with-parent", action="store_true", help="stop when who started it is gone")
    return parser
