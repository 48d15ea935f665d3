"""CORE: a beat: a ride whose heart rate climbs beyond its rider's limit, and whom it is mailed to.

The lines are spelled as bikes spell them, with an address of the beat's own: the mail that arrives
there is this beat's and no other's.
"""

import json
from datetime import UTC, date, datetime, timedelta
from typing import Final

from msgspec import Struct

from deloton.rules.canary import CANARY_BIKE, FIRST_CANARY_RIDER_ID
from deloton.rules.heart_rate import LimitPolicy, limits_of
from deloton.rules.power import fitted_power_watts

# A beat's rider rests while the others take their turns: nobody is told twice within 15 minutes.
RIDERS: Final = 4
AGE: Final = 70
# A sensor that nobody knows is not believed in the first 25 seconds of a grip: the limit is reached
# just after them.
FIRST_BPM: Final = 112
CLIMBS_BPM_A_SECOND: Final = 2
# Far beyond what any rule expects of the age, and not beyond what a heart can do.
HIGHEST_BPM: Final = 200
CADENCE_RPM: Final = 63
RESISTANCE: Final = 30
FIRMWARE: Final = "canary v1"
_TELEMETRY_AFTER: Final = timedelta(milliseconds=500)
_EPOCH: Final = date(1970, 1, 1)


class Beat(Struct, frozen=True):
    """One ride of the canary; `number` counts beats, `mailbox` is where all its mails go."""

    number: int
    started_at: datetime
    mailbox: str

    @property
    def address(self) -> str:
        """The beat's own address in the mailbox: `name+canary-1772442900@host`."""
        name, _, host = self.mailbox.rpartition("@")
        return f"{name}+canary-{self.started_at.timestamp():.0f}@{host}"

    @property
    def beyond_limit_at(self) -> datetime:
        """The stamp of the first reading that is beyond the rider's limit."""
        _, high, _ = limits_of(AGE, LimitPolicy())
        second = next(n for n in range(1, 1000) if high.is_passed_by(heart_rate_bpm(n)))
        return self.started_at + timedelta(seconds=second) + _TELEMETRY_AFTER

    def announcement(self) -> list[bytes]:
        """What a bike sends when a ride begins."""
        return [
            _envelope("--------- beginning of main"),
            _envelope("--------- beginning of a new ride"),
            self._line(self.started_at, f"[SYSTEM] data = {self._rider()}"),
        ]

    def second(self, number: int) -> list[bytes]:
        """The two lines of one second of the ride, from 1."""
        at = self.started_at + timedelta(seconds=number)
        power = fitted_power_watts(RESISTANCE, CADENCE_RPM)
        telemetry = f"hrt = {heart_rate_bpm(number)}; rpm = {CADENCE_RPM}; power = {power}"
        return [
            self._line(at, f"[INFO]: Ride - duration = {number}.0; resistance = {RESISTANCE}"),
            self._line(at + _TELEMETRY_AFTER, f"[INFO]: Telemetry - {telemetry}"),
        ]

    def _rider(self) -> str:
        born_on = date(self.started_at.year - AGE, 1, 1)
        return json.dumps(
            {
                "user_id": FIRST_CANARY_RIDER_ID + self.number % RIDERS,
                "name": "Canary",
                "gender": "unknown",
                "address": "1 Canary wharf,London,E14 5AB",
                "date_of_birth": (born_on - _EPOCH).days * 86_400_000,
                "email_address": self.address,
                "height_cm": 170,
                "weight_kg": 70,
                "account_create_date": 0,
                "bike_serial": CANARY_BIKE,
                "original_source": "direct",
            },
            separators=(",", ":"),
        )

    def _line(self, at: datetime, text: str) -> bytes:
        return _envelope(f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f} {FIRMWARE}: {text}")


def heart_rate_bpm(second: int) -> int:
    """The heart rate in a second of the ride: it climbs as a heart climbs, and stays up."""
    return min(HIGHEST_BPM, FIRST_BPM + CLIMBS_BPM_A_SECOND * second)


def _envelope(text: str) -> bytes:
    return json.dumps({"log": f"{text}\n"}).encode()
