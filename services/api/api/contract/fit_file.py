"""CORE: a ride as a FIT file (Garmin's protocol): one activity of indoor cycling, no position.

FIT tells whole watts and whole seconds; what was not measured has the field's invalid value, which
every reader takes for a gap. Nothing tells who rode.
"""

import struct
import zlib
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, Final

from fit_tool.data_message import DataMessage
from fit_tool.definition_message import DefinitionMessage
from fit_tool.fit_file_header import FitFileHeader
from fit_tool.profile.messages.activity_message import ActivityMessage
from fit_tool.profile.messages.event_message import EventMessage
from fit_tool.profile.messages.file_id_message import FileIdMessage
from fit_tool.profile.messages.lap_message import LapMessage
from fit_tool.profile.messages.record_message import RecordMessage
from fit_tool.profile.messages.session_message import SessionMessage
from fit_tool.profile.profile_type import (
    Activity,
    Event,
    EventType,
    FileType,
    LapTrigger,
    Manufacturer,
    SessionTrigger,
    Sport,
    SubSport,
)
from fit_tool.record import Record
from fit_tool.utils.crc import crc16

from api.contract.ride_file import Measured, RideFacts, whole

# Seconds are counted from the end of 1989 and below 2^28 mean time since a device was switched
# on, so FIT knows no moment before July 1998, and its 32 bits end in 2126.
YEARS: Final = range(1999, 2125)
_EPOCH_S: Final = 631_065_600

_BYTE, _SHORT = 254, 65_534
_OF_READINGS: Final = 1


def fit_file(ride: RideFacts, readings: Iterable[bytes]) -> bytes:
    """The file; `readings` are pieces of `records`, oldest first."""
    body = b"".join((_beginning(ride), *readings, _end(ride)))
    header: bytes = FitFileHeader(records_size=len(body), gen_crc=True).to_bytes()
    return header + body + struct.pack("<H", crc16(body, crc16(header)))


def records(readings: Iterable[Measured]) -> bytes:
    """Readings as records: a second each, in the layout that the beginning of the file defines."""
    return b"".join(
        _RECORD.pack(
            _OF_READINGS,
            int(each.at.timestamp()) - _EPOCH_S,
            _or_gap(each.heart_rate_bpm, _BYTE),
            _or_gap(each.cadence_rpm, _BYTE),
            _or_gap(each.power_watts, _SHORT),
            _or_gap(each.resistance, _BYTE),
        )
        for each in readings
    )


def _or_gap(value: float | None, largest: int) -> int:
    """A field of a record; the number after the largest is how FIT says that there is none."""
    fitting = whole(value, largest)
    return largest + 1 if fitting is None else fitting


def _record_definition() -> DefinitionMessage:
    """Which fields the records have, in which order; the values do not matter."""
    example = RecordMessage(local_id=_OF_READINGS)
    example.timestamp = 1_000 * (_EPOCH_S + 2**28)
    example.heart_rate = example.cadence = example.power = example.resistance = 1
    return DefinitionMessage.from_data_message(example)


# A message of the library's takes a tenth of a millisecond to write: what there are thousands of
# is packed by the same definition at once.
_DEFINITION: Final = _record_definition()
_RECORD: Final = struct.Struct(
    "<B" + "".join(field.base_type.struct_format for field in _DEFINITION.field_definitions)
)


def _beginning(ride: RideFacts) -> bytes:
    file_id = FileIdMessage()
    file_id.type = FileType.ACTIVITY
    file_id.manufacturer = Manufacturer.DEVELOPMENT.value
    file_id.product = 0
    # 0 would be none.
    file_id.serial_number = zlib.crc32(ride.bike_serial.encode()) or 1
    file_id.time_created = _moment(ride.started_at)
    started = _timer(ride.started_at, EventType.START)
    definition: bytes = Record.from_message(_DEFINITION).to_bytes()
    return _written(file_id) + _written(started) + definition


def _end(ride: RideFacts) -> bytes:
    messages = (
        _timer(ride.ended_at, EventType.STOP_ALL),
        _summary(ride, LapMessage, _lap),
        _summary(ride, SessionMessage, _session),
        _activity(ride),
    )
    return b"".join(map(_written, messages))


def _timer(at: datetime, event_type: EventType) -> EventMessage:
    event = EventMessage()
    event.timestamp = _moment(at)
    event.event = Event.TIMER
    event.event_type = event_type
    return event


def _summary(
    ride: RideFacts,
    kind: Callable[[], Any],
    complete: Callable[[Any], None],
) -> DataMessage:
    """What laps and sessions have in common; the ride is one of each."""
    message: DataMessage = kind()
    message.message_index = 0
    message.timestamp = _moment(ride.ended_at)
    message.start_time = _moment(ride.started_at)
    message.total_elapsed_time = message.total_timer_time = ride.elapsed_s
    message.sport = Sport.CYCLING
    message.sub_sport = SubSport.INDOOR_CYCLING
    message.event_type = EventType.STOP
    totals = {
        "avg_heart_rate": whole(ride.mean_heart_rate_bpm, _BYTE),
        "max_heart_rate": whole(ride.max_heart_rate_bpm, _BYTE),
        "avg_cadence": whole(ride.mean_cadence_rpm, _BYTE),
        "max_cadence": whole(ride.max_cadence_rpm, _BYTE),
        "avg_power": whole(ride.mean_power_watts, _SHORT),
        "max_power": whole(ride.max_power_watts, _SHORT),
        "total_work": None if ride.energy_kj is None else whole(1_000 * ride.energy_kj, 2**32 - 2),
    }
    for name, value in totals.items():
        if value is not None:
            setattr(message, name, value)
    complete(message)
    return message


def _lap(message: LapMessage) -> None:
    message.event = Event.LAP
    message.lap_trigger = LapTrigger.SESSION_END


def _session(message: SessionMessage) -> None:
    message.event = Event.SESSION
    message.trigger = SessionTrigger.ACTIVITY_END
    message.first_lap_index = 0
    message.num_laps = 1


def _activity(ride: RideFacts) -> ActivityMessage:
    activity = ActivityMessage()
    activity.timestamp = _moment(ride.ended_at)
    activity.total_timer_time = ride.elapsed_s
    activity.num_sessions = 1
    activity.type = Activity.MANUAL
    activity.event = Event.ACTIVITY
    activity.event_type = EventType.STOP
    return activity


def _written(message: DataMessage) -> bytes:
    """A message behind its own definition."""
    definition = DefinitionMessage.from_data_message(message)
    message.set_definition_message(definition)
    return b"".join(Record.from_message(each).to_bytes() for each in (definition, message))


def _moment(at: datetime) -> int:
    """Whole seconds, as the library takes them: milliseconds since 1970."""
    return 1_000 * int(at.timestamp())
