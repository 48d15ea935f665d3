"""History at full speed, then live; options, settings and the file one can look at."""

import io
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from typer.testing import CliRunner

from bike_simulator import FleetPlan, Message, simulate, simulate_windows
from bike_simulator.__main__ import app
from bike_simulator.app import Player
from bike_simulator.fleet import epoch_us
from bike_simulator.kafka import partition_finder
from bike_simulator.outlets import FileOutlet
from bike_simulator.pacing import AT_ONCE, Pace, parse_duration
from bike_simulator.settings import UnusableSettings, read_settings

START_AT = datetime(2026, 3, 2, 9, tzinfo=UTC)
PLAN = FleetPlan(START_AT, 5, until_at=START_AT + timedelta(minutes=10), back_to_back=True)


class RecordingOutlet:
    """Keeps what it gets, with the time the clock showed."""

    def __init__(self, clock: "RunningClock") -> None:
        self.clock = clock
        self.got: list[tuple[int, Message]] = []

    async def open(self) -> None:
        pass

    async def deliver(self, messages: Sequence[Message]) -> None:
        self.got += [(self.clock.now_us, message) for message in messages]

    async def close(self) -> None:
        pass


class RunningClock:
    """A wall clock that goes on by 2 s whenever somebody looks."""

    def __init__(self, now: datetime) -> None:
        self.now_us = epoch_us(now)

    def __call__(self) -> int:
        self.now_us += 2_000_000
        return self.now_us


async def test_history_goes_on_live_without_a_break_in_any_ride() -> None:
    switch_us = epoch_us(START_AT + timedelta(minutes=5))
    clock = RunningClock(START_AT + timedelta(minutes=5))
    outlet = RecordingOutlet(clock)
    player = Player(outlet, Pace(switch_us), clock_us=clock)
    await player.play(simulate_windows(PLAN))
    assert [message for _, message in outlet.got] == list(simulate(PLAN))
    assert player.is_live
    assert all(message.at_us <= now_us for now_us, message in outlet.got)
    late_us = [now_us - m.at_us for now_us, m in outlet.got if m.at_us > switch_us + 30_000_000]
    assert max(late_us) <= 20_000_000


async def test_stop_ends_the_play_and_closes() -> None:
    clock = RunningClock(START_AT)
    outlet = RecordingOutlet(clock)
    player = Player(outlet, AT_ONCE)
    player.stop.set()
    await player.play(simulate_windows(PLAN))
    assert player.sent == len(outlet.got) < 5000


@pytest.mark.parametrize(("speed", "wait_s"), [(1.0, 60.0), (10.0, 6.0)])
def test_live_messages_are_due_when_the_fleets_clock_reaches_them(
    speed: float, wait_s: float
) -> None:
    pace = Pace(live_from_us=1_000_000_000, speed=speed)
    assert pace.wait_s(1_060_000_000, wall_us=1_000_000_000) == wait_s
    assert pace.wait_s(1_060_000_000, wall_us=1_000_000_000 + int(wait_s * 1e6)) == 0


@pytest.mark.parametrize(
    ("text", "seconds"), [("36h", 129_600), ("90m", 5400), ("1h30m", 5400), ("1.5s", 1.5)]
)
def test_durations_are_read_as_people_write_them(text: str, seconds: float) -> None:
    assert parse_duration(text).total_seconds() == seconds


@pytest.mark.parametrize("text", ["", "36", "h", "36 h", "-1h", "0s", "1h!"])
def test_other_durations_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--since", "yesterday"], "is no duration"),
        (["--since", "1h", "--start", "2026-03-02"], "not both"),
        (["--until", "2026-03-02", "--duration", "1h"], "not both"),
        (["--start", "noon"], "no ISO time"),
        (["--speed", "0"], "--speed must be above 0"),
        (["--bikes", "0"], "at least one bike"),
        (["--fault", "cut"], "no number"),
        (["--fault", "rust=0.1"], "no fault 'rust'"),
        (["--no-live"], "end must come after its start"),
    ],
)
def test_bad_options_get_one_clear_sentence(arguments: list[str], words: str) -> None:
    result = CliRunner().invoke(app, [*arguments, "--out", "/nowhere/at/all"])
    sentence = str(result.exception)
    assert result.exit_code != 0
    assert isinstance(result.exception, SystemExit)
    assert words in sentence + result.output
    assert "\n" not in sentence


def test_out_writes_one_json_object_a_message(tmp_path_factory: pytest.TempPathFactory) -> None:
    out = tmp_path_factory.mktemp("out") / "lines.jsonl"
    arguments = ["--bikes", "3", "--back-to-back", "--start", "2026-03-02T09:00:00Z"]
    result = CliRunner().invoke(
        app, [*arguments, "--duration", "3m", "--no-live", "--out", str(out)]
    )
    plan = FleetPlan(START_AT, 3, until_at=START_AT + timedelta(minutes=3), back_to_back=True)
    written = [json.loads(line) for line in out.read_text().splitlines()]
    assert result.exit_code == 0
    assert [(w["key"], w["value"]) for w in written] == [
        (message.key.decode(), message.value.decode()) for message in simulate(plan)
    ]


async def test_bytes_that_are_no_utf8_are_written_as_base64() -> None:
    file = io.StringIO()
    await FileOutlet(file).deliver([Message(b"SN0000", b"\xff", 0)])
    written = {"at": "1970-01-01T00:00:00.000+00:00", "key": "SN0000", "value_base64": "/w=="}
    assert json.loads(file.getvalue()) == written


def test_keys_land_where_any_kafka_client_puts_them() -> None:
    # From the Java client's own tests of murmur2 (org.apache.kafka.common.utils.UtilsTest).
    partition_of = partition_finder(1000)
    assert partition_of(b"21") == (-973932308 & 0x7FFFFFFF) % 1000
    assert partition_of(b"foobar") == (-790332482 & 0x7FFFFFFF) % 1000


def test_all_that_is_wrong_with_the_settings_is_said_at_once() -> None:
    with pytest.raises(UnusableSettings) as refused:
        read_settings({"KAFKA_SECURITY_PROTOCOL": "SASL_SSL", "KAFKA_SASL_MECHANISM": "GUESS"})
    for name in ("KAFKA_SASL_MECHANISM", "KAFKA_SASL_USERNAME", "KAFKA_SASL_PASSWORD"):
        assert name in str(refused.value)


def test_settings_never_show_the_password() -> None:
    assert "hunter2" not in repr(read_settings({"KAFKA_SASL_PASSWORD": "hunter2"}))
