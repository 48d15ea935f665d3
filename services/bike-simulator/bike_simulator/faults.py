"""CORE: what goes wrong between a bike and its reader, at rates of one's choosing.

A ride is the same ride with or without faults: they have a random stream of their own.
"""

import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from bike_simulator.log_lines import stamp


@dataclass(frozen=True, slots=True)
class FaultRates:
    """The chance of each fault, 0 to 1, per line it can befall, or per ride.

    `FAULT_MEANINGS` says what each does.
    """

    cut: float = 0.0
    cut_text: float = 0.0
    lost_half: float = 0.0
    duplicate: float = 0.0
    not_json: float = 0.0
    not_utf8: float = 0.0
    no_log: float = 0.0
    unknown_kind: float = 0.0
    lost_marker: float = 0.0
    lost_system: float = 0.0
    odd_rider: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what is no probability (ValueError)."""
        for kind, rate in self.by_kind().items():
            if not 0 <= rate <= 1:
                raise ValueError(f"The rate of the fault {kind} must lie in 0 to 1, not {rate}.")

    def by_kind(self) -> dict[str, float]:
        """Rates by the names used on the command line."""
        return {
            field.name.replace("_", "-"): getattr(self, field.name)
            for field in dataclasses.fields(self)
        }

    def but(self, kind: str, rate: float) -> "FaultRates":
        """These rates with one of them changed; ValueError if there is no such fault."""
        if kind not in self.by_kind():
            raise ValueError(f"There is no fault {kind!r}; choose of {', '.join(self.by_kind())}.")
        return dataclasses.replace(self, **{kind.replace("-", "_"): rate})

    @property
    def spare_all_lines(self) -> bool:
        """Whether no line can be lost or damaged."""
        return not any(rate for kind, rate in self.by_kind().items() if kind != "odd-rider")


FAULT_MEANINGS: Final = {
    "cut": "the message ends early, in the middle of its JSON",
    "cut-text": "the line ends early in a whole envelope",
    "lost-half": "a Ride or a Telemetry line is missing",
    "duplicate": "the message comes twice",
    "not-json": "the bare line without its envelope",
    "not-utf8": "a byte that no UTF-8 has",
    "no-log": "JSON without the key `log`",
    "unknown-kind": "an additional line of a kind nobody has seen",
    "lost-marker": "a marker is missing",
    "lost-system": "per ride: the [SYSTEM] line is missing",
    "odd-rider": "per ride: the rider's data have missing or null keys or odd types",
}

FAULT_PRESETS: Final = {
    "none": FaultRates(),
    "light": FaultRates(*[0.0002] * 8, *[0.01] * 3),
    "heavy": FaultRates(*[0.01] * 8, *[0.1] * 3),
}

UNKNOWN_LINES: Final = (
    "[WARN]: Battery - level = 12",
    "[ERROR]: Bluetooth pairing failed (code 0x1F)",
    "[INFO]: Firmware - update = available; size = 20.5",
    "[DEBUG] heap = {}",
)
WITHOUT_LOG: Final = (b"{}", b'{"message": "hello"}', b'{"log": null}', b"[]", b'"log"', b"7")
ODD_VALUES: Final[dict[str, tuple[Any, ...]]] = {
    "user_id": ("7001", 7001.0),
    "name": ("", 42, "Ádám  Ó Example 🚴"),
    "gender": ("nonbinary", "", "F", 1),
    "address": ("", "Exampleton", ["1 Example lane", "Exampleton"]),
    "date_of_birth": ("1970-01-01", 0.5, -99_999_999_999_999_999),
    "email_address": ("", "ada at example.com", []),
    "height_cm": ("171", 171.5, -1),
    "weight_kg": ("64kg", 64.25, 0, True),
    "account_create_date": ("yesterday", 1e300),
    "bike_serial": ("", 0),
    "original_source": ("word of mouth", {}),
}


def odd_payload(payload: dict[str, Any], rng: np.random.Generator) -> dict[str, Any]:
    """The rider's data with one to three keys missing, null or of an odd type."""
    odd = dict(payload)
    for key in rng.permutation(list(payload))[: rng.integers(1, 4)].tolist():
        ways: tuple[Any, ...] = (None, *ODD_VALUES[key])
        choice = int(rng.integers(-1, len(ways)))
        if choice < 0:
            del odd[key]
        else:
            odd[key] = ways[choice]
    return odd


def damaged(kind: str, message: bytes, rng: np.random.Generator) -> bytes:
    """What arrives in place of `message`."""
    return _DAMAGE[kind](message, rng)


def unknown_message(at_us: int, firmware: str, rng: np.random.Generator) -> bytes:
    """A whole, well-formed message of a kind nobody has seen."""
    words = UNKNOWN_LINES[rng.integers(len(UNKNOWN_LINES))]
    return json.dumps({"log": f"{stamp(at_us)} {firmware}: {words}\n"}).encode()


def _cut(message: bytes, rng: np.random.Generator) -> bytes:
    return message[: rng.integers(1, len(message))]


def _cut_text(message: bytes, rng: np.random.Generator) -> bytes:
    text = json.loads(message)["log"]
    return json.dumps({"log": text[: rng.integers(1, len(text) - 1)]}).encode()


def _not_json(message: bytes, _rng: np.random.Generator) -> bytes:
    return str(json.loads(message)["log"]).encode()


def _not_utf8(message: bytes, rng: np.random.Generator) -> bytes:
    place = rng.integers(9, len(message) - 4)
    return message[:place] + b"\xff" + message[place + 1 :]


def _no_log(_message: bytes, rng: np.random.Generator) -> bytes:
    return WITHOUT_LOG[rng.integers(len(WITHOUT_LOG))]


_DAMAGE: Final[dict[str, Callable[[bytes, np.random.Generator], bytes]]] = {
    "cut": _cut,
    "cut-text": _cut_text,
    "not-json": _not_json,
    "not-utf8": _not_utf8,
    "no-log": _no_log,
}
