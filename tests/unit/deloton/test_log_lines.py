"""Every kind of line becomes a typed line; everything else a refusal with its reason."""

import json
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from deloton.feed.log_lines import (
    DoubtfulLine,
    Marker,
    Parsed,
    Refusal,
    RefusalReason,
    RideAnnounced,
    RideLine,
    RiderRequested,
    TelemetryLine,
    parse_message,
    parse_messages,
)
from deloton.rules.plausible import PLAUSIBLE
from deloton.testing import (
    MARKER_TEXTS,
    START_AT,
    a_message,
    a_message_of,
    a_rider,
    a_stamped_message,
    a_system_message,
    an_announcement,
)

STAMP = "2026-03-02 09:15:00.422392"
AT = datetime(2026, 3, 2, 9, 15, 0, 422392, tzinfo=UTC)
# A third of a page, less what else lies in the entry.
LONGEST_IN_AN_INDEX = 2_600


def parsed(value: bytes | None) -> Parsed:
    """Both ways of parsing must agree, so every case goes through both."""
    line = parse_message(value)
    assert parse_messages([value]) == [line]
    return line


def reason_of(value: bytes | None) -> RefusalReason:
    refusal = parsed(value)
    assert isinstance(refusal, Refusal), refusal
    assert refusal.detail
    return refusal.reason


def ride_message(duration: str = "1.0", resistance: str = "0") -> bytes:
    return a_stamped_message(f"[INFO]: Ride - duration = {duration}; resistance = {resistance}")


def telemetry_message(hrt: str = "0", rpm: str = "0", power: str = "0.0") -> bytes:
    return a_stamped_message(f"[INFO]: Telemetry - hrt = {hrt}; rpm = {rpm}; power = {power}")


def announced(payload: object) -> RideAnnounced:
    line = parsed(a_system_message(payload))
    assert isinstance(line, RideAnnounced), line
    return line


def test_each_kind_of_the_feed_is_read_as_it_is_documented() -> None:
    telemetry = "[INFO]: Telemetry - hrt = 126; rpm = 38; power = 8.962429663"
    lines = [
        '{"log": "--------- beginning of main\\n"}',
        '{"log": "--------- beginning of a new ride\\n"}',
        f'{{"log": "{STAMP} mendoza v9: Getting user data from server..\\n"}}',
        f'{{"log": "{STAMP} mendoza v9: [INFO]: Ride - duration = 1.0; resistance = 30\\n"}}',
        f'{{"log": "{STAMP} mendoza v9: {telemetry}\\n"}}',
    ]
    assert parse_messages([line.encode() for line in lines]) == [
        Marker(),
        Marker(),
        RiderRequested(AT),
        RideLine(AT, 1.0, 30),
        TelemetryLine(AT, 126, 38, 8.962429663),
    ]


def test_system_line_of_the_feed_tells_rider_and_bike() -> None:
    payload = (
        '{"user_id":7001,"name":"Ms Ada Example","gender":"female",'
        '"address":"Flat 9b,Example lane,Exampleton,EX4 4MP","date_of_birth":-336700800000,'
        '"email_address":"ada@example.com","height_cm":171,"weight_kg":64,'
        '"account_create_date":1641254400000,"bike_serial":"SN0000",'
        '"original_source":"google ads"}'
    )
    assert parsed(a_stamped_message(f"[SYSTEM] data = {payload}")) == RideAnnounced(
        at=START_AT, firmware="mendoza v9", bike_serial="SN0000", rider=a_rider()
    )


def test_builders_spell_lines_as_the_parser_reads_them() -> None:
    announcement = an_announcement(rider=a_rider(born_on=date(2001, 2, 3)))
    assert parsed(a_message_of(announcement)) == announcement


@pytest.mark.parametrize(
    "value",
    [
        b'{"log":"--------- beginning of main\\n"}',
        b' {"log" : "--------- beginning of main\\n"}\n',
        b'{"log": "-\\u002d------- beginning of main\\n"}',
        b'{"offset": 1, "log": "--------- beginning of main\\n", "x": [{}]}',
    ],
)
def test_envelope_is_read_as_json_however_it_is_spaced(value: bytes) -> None:
    assert parsed(value) == Marker()


@pytest.mark.parametrize(
    "value",
    [a_stamped_message("[INFO]: Ride - duration = 1.0; resistance = 0", firmware=tag)
     for tag in ("mendoza v10", "garcia", "große Räder 2", "a-b_c/1.2", 'with "quotes"', "[x]")],
)  # fmt: skip
def test_any_firmware_tag_is_taken(value: bytes) -> None:
    assert parsed(value) == RideLine(START_AT, 1.0, 0)


def test_the_firmware_tag_is_kept_with_the_announcement() -> None:
    line = parsed(a_stamped_message("[SYSTEM] data = {}", firmware="mendoza v10"))
    assert line == RideAnnounced(START_AT, "mendoza v10", None, None)


@pytest.mark.parametrize(
    ("spelling", "watts"),
    [
        ("0", 0.0), ("8", 8.0), ("8.", 8.0), (".5", 0.5), ("+1", 1.0), ("-0.0", 0.0),
        ("1485.4", 1485.4), ("8.962429663123456", 8.962429663123456), ("007.50", 7.5),
        ("1e2", 100.0), ("1E2", 100.0), ("1.5e-05", 1.5e-05), ("1e+2", 100.0), ("0e0", 0.0),
        ("2999.5", 2999.5),
        ("0.1000000000000000055511151231257827", 0.1),
    ],
)  # fmt: skip
def test_power_is_read_in_any_spelling_of_a_float(spelling: str, watts: float) -> None:
    assert parsed(telemetry_message(power=spelling)) == TelemetryLine(START_AT, None, 0, watts)


@pytest.mark.parametrize(
    "spelling",
    ["", " ", "nan", "NaN", "inf", "-Infinity", "1_0", "0x1p3", "1,5", "1 2",
     "e5", ".", "+", "--1", "1e", "1e1.5", "٣", "½", "1.0 ", " 1.0", "1.0\n", "1.0;", "None"],
)  # fmt: skip
def test_power_that_is_no_finite_number_is_refused(spelling: str) -> None:
    assert reason_of(telemetry_message(power=spelling)) in (
        RefusalReason.BAD_NUMBER,
        RefusalReason.UNKNOWN_LINE,
    )


# Issue 17, 4: impossible is not measured


BEYOND = [
    ("heart_rate_bpm", ["1", "24", "241", "255", "1023", "32767", "32768", "9" * 5000]),
    ("cadence_rpm", ["301", "32767", "99999999999999999999"]),
    ("resistance", ["251", "255", "65535"]),
    ("power_watts", ["-1.5", "3000.1", "30000", "1e99", "1e999", "-1e999", "9" * 300]),
]


@pytest.mark.parametrize(
    ("field", "spelling"), [(field, each) for field, spellings in BEYOND for each in spellings]
)
def test_a_value_beyond_person_and_bike_is_not_measured_and_its_line_a_letter(
    field: str, spelling: str
) -> None:
    words = {"heart_rate_bpm": "hrt", "cadence_rpm": "rpm", "power_watts": "power"}
    message = (
        ride_message(resistance=spelling)
        if field == "resistance"
        else telemetry_message(**{"hrt": "99", words[field]: spelling})
    )
    doubtful = parsed(message)
    assert isinstance(doubtful, DoubtfulLine), doubtful
    assert getattr(doubtful.line, field) is None
    assert doubtful.refusal.reason is RefusalReason.IMPLAUSIBLE
    assert field in doubtful.refusal.detail
    assert spelling not in doubtful.refusal.detail


@pytest.mark.parametrize("field", PLAUSIBLE)
def test_the_outermost_plausible_values_are_measured(field: str) -> None:
    bounds = PLAUSIBLE[field]
    for value in (bounds.lowest, bounds.highest):
        level = str(int(value))
        line = parsed(
            {
                "resistance": ride_message(resistance=level),
                "heart_rate_bpm": telemetry_message(hrt=level),
                "cadence_rpm": telemetry_message(rpm=level),
                "power_watts": telemetry_message(power=level),
            }[field]
        )
        assert getattr(line, field) == value


def test_one_impossible_value_costs_its_own_field_alone() -> None:
    doubtful = parsed(telemetry_message(hrt="255", rpm="60", power="18.0"))
    assert isinstance(doubtful, DoubtfulLine)
    assert doubtful.line == TelemetryLine(START_AT, None, 60, 18.0)


def test_the_quick_way_of_parsing_lets_nothing_pass_that_cannot_be() -> None:
    for level in range(1000):
        parsed(ride_message(resistance=str(level)))
        parsed(telemetry_message(hrt=str(level)))
        parsed(telemetry_message(rpm=str(level)))
    for watts in range(2_900, 3_100):
        parsed(telemetry_message(power=f"{watts}.5"))


@pytest.mark.parametrize("spelling", ["1e-141", "-1e-200", "4.9e-324"])
def test_power_whose_square_no_column_could_hold_is_refused(spelling: str) -> None:
    assert reason_of(telemetry_message(power=spelling)) is RefusalReason.BAD_NUMBER


@pytest.mark.parametrize(
    ("spelling", "bpm"), [("0", None), ("00", None), ("25", 25), ("055", 55), ("240", 240)]
)
def test_no_hands_on_the_bar_is_no_heart_rate(spelling: str, bpm: int | None) -> None:
    assert parsed(telemetry_message(hrt=spelling)) == TelemetryLine(START_AT, bpm, 0, 0.0)


@pytest.mark.parametrize("level", ["-1", "+1", "1.0", "", " 1", "²", "1e2"])
def test_levels_that_are_no_small_whole_numbers_are_refused(level: str) -> None:
    messages = (
        telemetry_message(hrt=level),
        telemetry_message(rpm=level),
        ride_message(resistance=level),
    )
    assert {reason_of(message) for message in messages} == {RefusalReason.BAD_NUMBER}


@pytest.mark.parametrize(
    ("spelling", "seconds"),
    [("0", 0.0), ("1", 1.0), ("520.0", 520.0), (".5", 0.5), ("5e2", 500.0), ("8640000", 8.64e6)],
)
def test_duration_is_read_in_any_spelling_of_a_float(spelling: str, seconds: float) -> None:
    assert parsed(ride_message(duration=spelling)) == RideLine(START_AT, seconds, 0)


@pytest.mark.parametrize("spelling", ["-1", "-0.001", "8640000.1", "1e9", "nan", "inf", "1:30", ""])
def test_durations_that_no_ride_can_have_are_refused(spelling: str) -> None:
    assert reason_of(ride_message(duration=spelling)) is RefusalReason.BAD_NUMBER


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, RefusalReason.NOT_JSON),
        (b"", RefusalReason.NOT_JSON),
        (b"\n", RefusalReason.NOT_JSON),
        (b"garbage", RefusalReason.NOT_JSON),
        (b'{"log": "2026-03-02 09:15:0', RefusalReason.NOT_JSON),
        (b"\xef\xbb\xbf{}", RefusalReason.NOT_JSON),
        (b'{"log": "\\ud800"}', RefusalReason.NOT_JSON),
        (b"[" * 100_000, RefusalReason.NOT_JSON),
        (b'{"x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", RefusalReason.NOT_JSON),
        (b"\xff\xfe", RefusalReason.NOT_UTF8),
        (b'{"log": "\xed\xa0\x80"}', RefusalReason.NOT_UTF8),
        ('{"log": "é"}'.encode("latin-1"), RefusalReason.NOT_UTF8),
        (b"{}", RefusalReason.NO_LOG),
        (b"null", RefusalReason.NO_LOG),
        (b"[]", RefusalReason.NO_LOG),
        (b'"log"', RefusalReason.NO_LOG),
        (b'{"log": null}', RefusalReason.NO_LOG),
        (b'{"log": 5}', RefusalReason.NO_LOG),
        (b'{"log": ["a"]}', RefusalReason.NO_LOG),
        (b'{"Log": "a"}', RefusalReason.NO_LOG),
    ],
)
def test_messages_without_readable_text_are_refused_for_what_is_wrong(
    value: bytes | None, reason: RefusalReason
) -> None:
    assert reason_of(value) is reason


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        "-------- beginning of main\n",
        "---------  beginning of main\n",
        "--------- beginning of main",
        "--------- beginning of main\n\n",
        "--------- beginning of system\n",
        f"{STAMP}\n",
        f"{STAMP} mendoza v9\n",
        f"{STAMP} mendoza v9: \n",
        f"{STAMP} mendoza v9: [INFO]: Ride - duration = 1.0; resistance = 0",
        f"{STAMP} mendoza v9: [INFO] Ride - duration = 1.0; resistance = 0\n",
        f"{STAMP} mendoza v9: [INFO]: Ride - duration = 1.0\n",
        f"{STAMP} mendoza v9: [INFO]: Ride - resistance = 0; duration = 1.0\n",
        f"{STAMP} mendoza v9: [INFO]: Telemetry - hrt = 1; rpm = 2\n",
        f"{STAMP} mendoza v9: [ERROR]: heart rate sensor lost\n",
        f"{STAMP} mendoza v9: [SYSTEM]: data = {{}}\n",
        f"{STAMP} mendoza v9: Getting user data from server...\n",
        f"{STAMP}  [INFO]: Ride - duration = 1.0; resistance = 0\n",
        "2026-03-02 09:15:00 mendoza v9: Getting user data from server..\n",
        f"\0{STAMP} mendoza v9: Getting user data from server..\n",
    ],
)
def test_lines_of_no_known_kind_are_refused(text: str) -> None:
    assert reason_of(a_message(text)) in (RefusalReason.UNKNOWN_LINE, RefusalReason.BAD_STAMP)


@pytest.mark.parametrize(
    "stamp",
    ["2026-02-29 09:15:00.422392", "2026-13-01 09:15:00.422392", "2026-03-02 25:00:00.000000",
     "2026-03-02 09:60:00.000000", "2026-03-02 09:15:60.000000", "0000-03-02 09:15:00.000000",
     "                          ", "::::::::::::::::::::::::::", "2026-03-0٢ 09:15:00.422392"],
)  # fmt: skip
def test_stamps_that_are_no_time_are_refused(stamp: str) -> None:
    text = f"{stamp} mendoza v9: [INFO]: Ride - duration = 1.0; resistance = 0\n"
    assert reason_of(a_message(text)) is RefusalReason.BAD_STAMP


@pytest.mark.parametrize(
    "stamp",
    ["0001-01-01 00:00:00.000000", "0001-01-02 00:00:00.000000", "9999-12-31 23:59:59.999999"],
)
def test_stamps_at_the_ends_of_time_are_refused(stamp: str) -> None:
    """From them no beginning of a ride can be counted back, and no day before or after named."""
    text = f"{stamp} mendoza v9: [INFO]: Ride - duration = 1.0; resistance = 0\n"
    assert reason_of(a_message(text)) is RefusalReason.BAD_STAMP


def test_a_leap_day_is_a_time() -> None:
    text = "2028-02-29 23:59:59.999999 mendoza v9: Getting user data from server..\n"
    leap_day = datetime(2028, 2, 29, 23, 59, 59, 999999, tzinfo=UTC)
    assert parsed(a_message(text)) == RiderRequested(leap_day)


@pytest.mark.parametrize("cut", range(1, 90))
def test_a_message_cut_anywhere_is_refused(cut: int) -> None:
    whole = a_stamped_message("[INFO]: Telemetry - hrt = 126; rpm = 38; power = 8.962429663")
    assert reason_of(whole[:-cut]) is RefusalReason.NOT_JSON


@pytest.mark.parametrize("payload", ["", "{", "null", "[]", '"x"', "7001", "{'user_id':1}", "{}}"])
def test_rider_data_that_are_no_json_object_are_refused(payload: str) -> None:
    value = a_stamped_message(f"[SYSTEM] data = {payload}")
    assert reason_of(value) is RefusalReason.BAD_RIDER_DATA


def test_rider_data_nested_too_deeply_are_refused() -> None:
    value = a_stamped_message('[SYSTEM] data = {"x":' + "[" * 100_000 + "]" * 100_000 + "}")
    assert reason_of(value) is RefusalReason.BAD_RIDER_DATA


@pytest.mark.parametrize(
    "payload", [{}, {"user_id": None}, {"user_id": "x"}, {"user_id": -1}, {"user_id": 2**63},
                {"user_id": True}, {"user_id": [7]}, {"user_id": 10**30}]
)  # fmt: skip
def test_without_a_usable_rider_id_the_ride_is_announced_all_the_same(
    payload: dict[str, object],
) -> None:
    line = announced({"bike_serial": "SN0042"} | payload)
    assert (line.bike_serial, line.rider) == ("SN0042", None)


@pytest.mark.parametrize("field", ["weight_kg", "anything"])
@pytest.mark.parametrize("number", ["1e400", "-1e400", "1" * 400])
def test_a_number_too_large_to_hold_costs_its_own_field_alone(field: str, number: str) -> None:
    payload = f'{{"bike_serial":"SN0042","{field}":{number}}}'
    line = parsed(a_stamped_message(f"[SYSTEM] data = {payload}"))
    assert isinstance(line, RideAnnounced), line
    assert line.bike_serial == "SN0042"


@pytest.mark.parametrize(
    ("serial", "expected"),
    [("SN0001", "SN0001"), (" SN1 ", "SN1"), ("SN\0", "SN"), ("", None), (" ", None), (None, None),
     (5, None), ([], None), ("Ä€🚲", "Ä€🚲")],
)  # fmt: skip
def test_the_bikes_serial_is_text_or_unknown(serial: object, expected: str | None) -> None:
    assert announced({"bike_serial": serial}).bike_serial == expected


def test_a_serial_too_long_for_an_index_is_no_serial() -> None:
    serial = announced({"bike_serial": "".join(map(chr, range(500, 4500)))}).bike_serial
    assert len((serial or "").encode()) < LONGEST_IN_AN_INDEX


def test_refusals_quote_nothing_of_the_rider() -> None:
    value = a_stamped_message('[SYSTEM] data = {"name":"Ada Example","email_address":')
    refusal = parsed(value)
    assert isinstance(refusal, Refusal)
    assert "Ada" not in refusal.detail


def test_many_messages_at_once_are_parsed_as_each_alone() -> None:
    values: list[bytes | None] = [
        ride_message(), b"", b"\n", b"\r\n", b"a\nb", telemetry_message(), b"\xff", b"\x85",
        b"\x0b", a_message(MARKER_TEXTS[0]), ride_message() + b"\n", b"\n" + ride_message(), b"",
    ]  # fmt: skip
    expected = [parse_message(value) for value in values]
    assert parse_messages(values) == expected
    assert parse_messages([*values, None]) == [*expected, parse_message(None)]
    assert parse_messages([]) == []


text_values = st.text(max_size=60)
numbers = st.one_of(
    st.floats().map(repr), st.integers().map(str), st.text("0123456789.eE+-", max_size=12)
)
stamps = st.one_of(
    st.datetimes().map(lambda moment: moment.strftime("%Y-%m-%d %H:%M:%S.%f")),
    st.text("0123456789-: .TZ+", min_size=26, max_size=26),
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
payloads = st.dictionaries(
    st.sampled_from(
        ["user_id", "name", "gender", "address", "date_of_birth", "email_address", "height_cm",
         "weight_kg", "account_create_date", "bike_serial", "original_source"]
    ),
    json_values,
)  # fmt: skip
bodies = st.one_of(
    text_values,
    st.builds("[INFO]: Ride - duration = {}; resistance = {}".format, numbers, numbers),
    st.builds(
        "[INFO]: Telemetry - hrt = {}; rpm = {}; power = {}".format, numbers, numbers, numbers
    ),
    payloads.map(lambda payload: f"[SYSTEM] data = {json.dumps(payload)}"),
)
texts = st.builds("{} {}: {}\n".format, stamps, text_values, bodies)
messages = st.one_of(
    st.none(), st.binary(), text_values.map(a_message), texts.map(a_message),
    json_values.map(lambda value: json.dumps(value).encode()),
)  # fmt: skip


@settings(deadline=None)
@given(st.lists(messages, max_size=5))
@example([ride_message("1.0\n"), telemetry_message()])
def test_any_bytes_give_a_line_or_a_refusal(values: list[bytes | None]) -> None:
    lines = parse_messages(values)
    assert lines == [parse_message(value) for value in values]
    for line in lines:
        assert_fits_its_columns(line)


def assert_fits_its_columns(line: Parsed) -> None:
    match line:
        case DoubtfulLine(line=half):
            assert_fits_its_columns(half)
        case RideLine() | TelemetryLine():
            for name, bounds in PLAUSIBLE.items():
                value = getattr(line, name, None)
                assert value is None or bounds.lowest <= value <= bounds.highest
            if isinstance(line, RideLine):
                assert 0 <= line.elapsed_s <= timedelta(days=100).total_seconds()
        case RideAnnounced(firmware=firmware, bike_serial=serial):
            for word in (firmware, serial or ""):
                assert "\0" not in word.encode().decode()
