"""CORE: a ride as TCX (Garmin's Training Center Database v2, power by Activity Extension v2).

An indoor ride: no point has a position. What was not measured is left out; the lap's distance and
calories, which the format demands and no bike measures, are 0. Nothing tells who rode.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

from api.contract.ride_file import Measured, RideFacts, whole

# What the format's types hold at most.
_HEART_RATE, _CADENCE, _WATTS = 255, 254, 65_535

_ROOT: Final = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    '<TrainingCenterDatabase xmlns="http://www.garmin.com/xmlschemas/TrainingCenterDatabase/v2"'
    ' xmlns:x="http://www.garmin.com/xmlschemas/ActivityExtension/v2">'
)


def beginning(ride: RideFacts) -> str:
    """All that stands before the first reading."""
    started_at = _time(ride.started_at)
    return (
        f'{_ROOT}<Activities><Activity Sport="Biking"><Id>{started_at}</Id>'
        f'<Lap StartTime="{started_at}">'
        f"<TotalTimeSeconds>{ride.elapsed_s}</TotalTimeSeconds>"
        "<DistanceMeters>0</DistanceMeters><Calories>0</Calories>"
        + _heart_rate("AverageHeartRateBpm", ride.mean_heart_rate_bpm)
        + _heart_rate("MaximumHeartRateBpm", ride.max_heart_rate_bpm)
        + "<Intensity>Active</Intensity>"
        + _element("Cadence", whole(ride.mean_cadence_rpm, _CADENCE))
        + "<TriggerMethod>Manual</TriggerMethod>"
    )


def track(points: Iterable[Measured]) -> str:
    """Some readings, a point each; empty where there are none."""
    told = "".join(map(_point, points))
    return f"<Track>{told}</Track>" if told else ""


def end(ride: RideFacts) -> str:
    """All that stands after the last reading."""
    of_lap = (
        _element("x:MaxBikeCadence", whole(ride.max_cadence_rpm, _CADENCE))
        + _element("x:AvgWatts", whole(ride.mean_power_watts, _WATTS))
        + _element("x:MaxWatts", whole(ride.max_power_watts, _WATTS))
    )
    return (
        f"{_extension('x:LX', of_lap)}</Lap><Notes>Ride {ride.ride_id}</Notes></Activity>"
        "</Activities></TrainingCenterDatabase>\n"
    )


def _point(reading: Measured) -> str:
    watts = _element("x:Watts", whole(reading.power_watts, _WATTS))
    return (
        f"<Trackpoint><Time>{_time(reading.at)}</Time>"
        + _heart_rate("HeartRateBpm", reading.heart_rate_bpm)
        + _element("Cadence", whole(reading.cadence_rpm, _CADENCE))
        + _extension("x:TPX", watts)
        + "</Trackpoint>"
    )


def _heart_rate(name: str, bpm: float | None) -> str:
    """A heart rate; 0 is none."""
    value = _element("Value", whole(bpm, _HEART_RATE) or None)
    return value and f"<{name}>{value}</{name}>"


def _extension(name: str, content: str) -> str:
    return content and f"<Extensions><{name}>{content}</{name}></Extensions>"


def _element(name: str, value: int | None) -> str:
    return "" if value is None else f"<{name}>{value}</{name}>"


def _time(at: datetime) -> str:
    return at.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"
