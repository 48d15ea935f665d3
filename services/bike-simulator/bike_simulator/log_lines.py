"""CORE: the exact spelling of the feed, made for bulk.

A message of a ride is three small numbers: stamp, head and tail. Its bytes are the second's
text, the microseconds, `heads(...)[head]` and `tails()[tail]`, put together only when the
message is due, so a ride in progress takes 8 bytes a message. Head 0 stands for a line that
needs its own text (markers, the rider, damaged lines).
"""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final

import numpy as np

from bike_simulator.hearts import HIGHEST_BPM
from bike_simulator.riding import LONGEST_RIDE_S, Seconds, power_watts
from deloton.rules.power import FASTEST_CADENCE_RPM, HIGHEST_RESISTANCE

BEGINNING_OF_MAIN: Final = "--------- beginning of main"
BEGINNING_OF_RIDE: Final = "--------- beginning of a new ride"
DEFAULT_FIRMWARE: Final = "mendoza v9"

OWN_TEXT: Final = 0
RIDE_HEADS_FROM: Final = 0  # + duration, 1 to 520
TELEMETRY_HEADS_FROM: Final = LONGEST_RIDE_S + 1  # + heart rate, 0 to 230
HEADS_PER_FIRMWARE: Final = TELEMETRY_HEADS_FROM + HIGHEST_BPM + 1
TELEMETRY_TAILS_FROM: Final = HIGHEST_RESISTANCE + 1
CADENCES: Final = FASTEST_CADENCE_RPM + 1
MOST_DECIMALS: Final = 16


def envelope(text: str) -> bytes:
    """The message that carries one line of text: one key, and one newline at the text's end."""
    return json.dumps({"log": text + "\n"}).encode()


def stamp(at_us: int) -> str:
    """UTC, always six decimals, no zone."""
    return f"{second_text(at_us // 1_000_000)}{at_us % 1_000_000:06d}"


def second_text(epoch_s: int) -> str:
    """The stamp up to and including its decimal point."""
    return datetime.fromtimestamp(epoch_s, UTC).strftime("%Y-%m-%d %H:%M:%S.")


def asking_line(at_us: int, firmware: str) -> str:
    """The bike asks the server who rides."""
    return f"{stamp(at_us)} {firmware}: Getting user data from server.."


def rider_line(at_us: int, firmware: str, payload: dict[str, Any]) -> str:
    """The one line with the rider in it; no colon after `data`, compact JSON."""
    data = json.dumps(payload, separators=(",", ":"))
    return f"{stamp(at_us)} {firmware}: [SYSTEM] data = {data}"


def ride_heads(seconds: int) -> Seconds:
    """Heads of the `Ride` lines of a whole ride."""
    return RIDE_HEADS_FROM + np.arange(1, seconds + 1)


def ride_tails(resistance: Seconds) -> Seconds:
    """Tails of the `Ride` lines."""
    return resistance


def telemetry_heads(heart_rate_bpm: Seconds) -> Seconds:
    """Heads of the `Telemetry` lines."""
    return TELEMETRY_HEADS_FROM + heart_rate_bpm


def telemetry_tails(resistance: Seconds, cadence_rpm: Seconds) -> Seconds:
    """Tails of the `Telemetry` lines: cadence, and the power that follows from both.

    Of a broken power sensor, `resistance` is not the bike's but that which its power belongs to.
    """
    return TELEMETRY_TAILS_FROM + resistance * CADENCES + cadence_rpm


@cache
def heads(firmwares: Sequence[str]) -> list[str]:
    """All heads: `HEADS_PER_FIRMWARE` for each firmware tag, in the order given."""
    return [text for firmware in firmwares for text in _heads_of(json.dumps(firmware)[1:-1])]


@cache
def tails() -> list[str]:
    """All tails: resistances, then cadence and power of each resistance."""
    resistance, cadence = np.divmod(np.arange((HIGHEST_RESISTANCE + 1) * CADENCES), CADENCES)
    watts = power_watts(resistance, cadence).tolist()
    return [f'{level}\\n"}}' for level in range(TELEMETRY_TAILS_FROM)] + [
        f'{rpm}; power = {_watts_text(power, place)}\\n"}}'
        for place, (rpm, power) in enumerate(zip(cadence.tolist(), watts, strict=True))
    ]


def reading_message(at_us: int, head: int, tail: int, firmwares: Sequence[str]) -> bytes:
    """One `Ride` or `Telemetry` message; the slow way, for single lines."""
    return f'{{"log": "{stamp(at_us)}{heads(firmwares)[head]}{tails()[tail]}'.encode()


def reading_messages(
    at_us: Seconds, head: Seconds, tail: Seconds, firmwares: Sequence[str]
) -> list[bytes]:
    """Many `Ride` and `Telemetry` messages at once, one for each row; rows sorted by time."""
    head_texts, tail_texts = heads(firmwares), tails()
    second, micros = np.divmod(at_us, 1_000_000)
    first_s, last_s = int(second[0]), int(second[-1])
    starts = [f'{{"log": "{second_text(at_s)}' for at_s in range(first_s, last_s + 1)]
    rows = zip(
        (second - first_s).tolist(), micros.tolist(), head.tolist(), tail.tolist(), strict=True
    )
    return [f"{starts[s]}{us:06d}{head_texts[h]}{tail_texts[t]}".encode() for s, us, h, t in rows]


def _heads_of(firmware: str) -> list[str]:
    before = f" {firmware}: [INFO]: "
    durations = range(LONGEST_RIDE_S + 1)
    return [f"{before}Ride - duration = {s}.0; resistance = " for s in durations] + [
        f"{before}Telemetry - hrt = {bpm}; rpm = " for bpm in range(HIGHEST_BPM + 1)
    ]


def _watts_text(power: float, place: int) -> str:
    """A float's repr; as in the feed some carry few decimals, most carry all they have."""
    scramble = place * 2_654_435_761 % 2**32 >> 16
    return repr(round(power, MOST_DECIMALS if scramble % 3 else 1 + scramble % 12))
