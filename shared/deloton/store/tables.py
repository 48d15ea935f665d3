"""The one statement of the schema: every table, its columns and what they mean.

Times are `timestamptz` in UTC. Migrations in `migrations/` build what stands here; a test
compares the two.
"""

from typing import Any, Final

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    Double,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    false,
    func,
    text,
    true,
)

from deloton.rules.changes import ChangeKind
from deloton.rules.figures import FIGURES, LEADERS, Figure, Number
from deloton.store.byte import Byte

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_label)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

_UTC = DateTime(timezone=True)
_NUMBERS: Final = {Number.SMALL: SmallInteger, Number.WHOLE: Integer, Number.REAL: Double}


def _column_of(figure: Figure, *, nullable: bool = True, comment: str | None = None) -> Column[Any]:
    return Column(figure.name, _NUMBERS[figure.number], nullable=nullable, comment=comment)


riders = Table(
    "riders",
    metadata,
    Column("rider_id", BigInteger, primary_key=True, autoincrement=False),
    Column("title", Text),
    Column("first_name", Text),
    Column("last_name", Text),
    Column("gender", Text, nullable=False, comment="female, male, other or unknown"),
    Column("born_on", Date),
    Column("email", Text),
    Column("height_cm", Double),
    Column("weight_kg", Double),
    Column("flat", Text, comment="flat or studio, where the address has one"),
    Column("street", Text, comment="house number and street"),
    Column("town", Text),
    Column("postcode", Text),
    Column("account_created_on", Date),
    Column("original_source", Text, comment="how the rider came to us"),
    Column("seen_at", _UTC, nullable=False, comment="stamp of the line that told these facts"),
    CheckConstraint("gender IN ('female', 'male', 'other', 'unknown')", name="gender"),
    comment="A rider as last told by a bike; the newest stamp wins.",
)
Index("ix_riders_town", func.lower(riders.c.town))

bikes = Table(
    "bikes",
    metadata,
    Column("serial", Text, primary_key=True, comment="unknown:… until a bike's stream names it"),
    Column("firmware", Text),
    comment="Every bike that was ever ridden.",
)

rides = Table(
    "rides",
    metadata,
    Column("ride_id", BigInteger, Identity(), primary_key=True),
    Column("rider_id", ForeignKey(riders.c.rider_id), comment="NULL: who rode is not known"),
    Column("bike_serial", ForeignKey(bikes.c.serial), nullable=False),
    Column("started_at", _UTC, nullable=False),
    Column("ended_at", _UTC, comment="stamp of the last reading; NULL: the ride goes on"),
    Column("end_reason", Text, comment="next_ride or silence"),
    Column(
        "clock_beginnings",
        ARRAY(_UTC),
        comment="when it began by the bike's own clock, and once more for each time that clock was "
        "set since; NULL: it was right",
    ),
    *(_column_of(figure, comment=figure.meaning) for figure in FIGURES),
    Column(
        "implausible_count",
        Integer,
        nullable=False,
        server_default="0",
        comment="lines with a value that no person or bike reaches: it counts as not measured",
    ),
    UniqueConstraint("bike_serial", "started_at"),
    CheckConstraint("end_reason IN ('next_ride', 'silence')", name="end_reason"),
    CheckConstraint("(ended_at IS NULL) = (end_reason IS NULL)", name="ended_with_reason"),
    Index("ix_rides_started_at", "started_at"),
    Index("ix_rides_rider_id_started_at", "rider_id", "started_at"),
    # What a bike has told once is the same ride, whatever time we gave it.
    Index(
        "uq_rides_told",
        "bike_serial",
        text("coalesce(clock_beginnings[1], started_at)"),
        unique=True,
    ),
    Index(
        "ix_rides_wrong_clock",
        "bike_serial",
        "started_at",
        postgresql_where=text("clock_beginnings IS NOT NULL"),
    ),
    comment="A ride: a rider, a bike, a start; and its figures, which are NULL until it ends.",
)
Index("ix_rides_open", rides.c.started_at, postgresql_where=rides.c.ended_at.is_(None))
Index(
    "ix_rides_sandbox",
    rides.c.started_at,
    postgresql_where=text("left(bike_serial, 7) = 'SANDBOX'"),
)
# Leaders of all time are read from their top, without looking at the other rides.
for _figure in LEADERS:
    Index(f"ix_rides_{_figure}", rides.c[_figure], rides.c.ride_id)

readings = Table(
    "readings",
    metadata,
    Column("ride_id", BigInteger, primary_key=True, autoincrement=False),
    Column("at", _UTC, primary_key=True),
    Column("elapsed_s", Double, comment="seconds since the ride began, by the bike's count"),
    Column("heart_rate_bpm", SmallInteger, comment="NULL: no hands on the bar"),
    Column("cadence_rpm", SmallInteger),
    Column("resistance", SmallInteger, comment="the bike's own level"),
    Column("power_watts", Double),
    comment="One second of a ride; NULL is what was not measured. A partition a UTC day.",
    postgresql_partition_by="RANGE (at)",
)

ride_series = Table(
    "ride_series",
    metadata,
    Column(
        "ride_id",
        ForeignKey(rides.c.ride_id, ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
    ),
    Column("reading_count", Integer, nullable=False),
    Column("first_at", _UTC, nullable=False),
    Column("last_at", _UTC, nullable=False),
    Column("step_us", BigInteger, nullable=False, comment="the usual time between readings"),
    Column(
        "step_low",
        ARRAY(Byte()),
        comment="this and the next two: by how much each step differs, as bytes",
    ),
    Column("step_mid", ARRAY(Byte()), comment="NULL: 0 all the way"),
    Column("step_high", ARRAY(BigInteger), comment="what is above them; NULL: 0 all the way"),
    Column(
        "elapsed_lead",
        ARRAY(Integer),
        comment="how far the bike's count leads the reading's number; NULL: 0 all the way",
    ),
    Column(
        "elapsed_s",
        ARRAY(Double),
        comment="the counts themselves, where they are not whole; else NULL",
    ),
    Column("heart_rate_bpm", ARRAY(SmallInteger)),
    Column("cadence_rpm", ARRAY(SmallInteger)),
    Column("resistance", ARRAY(SmallInteger)),
    Column(
        "power_watts",
        ARRAY(Double),
        comment="an element NULL: as bike_powers tells; NULL: all are",
    ),
    Column(
        "powerless",
        ARRAY(Integer),
        comment="numbers, from 1, of readings without the power that bike_powers tells",
    ),
    Index("ix_ride_series_last_at", "last_at"),
    comment="All readings of a ride that has ended, as arrays: read packed_readings.",
)

bike_powers = Table(
    "bike_powers",
    metadata,
    Column("resistance", SmallInteger, primary_key=True, autoincrement=False),
    Column("cadence_rpm", SmallInteger, primary_key=True, autoincrement=False),
    Column("power_watts", Double, nullable=False),
    comment="The power that bikes tell at a resistance and cadence. A row never changes.",
)

rides_to_pack = Table(
    "rides_to_pack",
    metadata,
    Column(
        "ride_id",
        ForeignKey(rides.c.ride_id, ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
    ),
    Column("since", _UTC, nullable=False, server_default=func.now()),
    Column("refused", Text, comment="why it cannot be packed; NULL: it waits"),
    Index("ix_rides_to_pack_since", "since"),
    comment="Rides that have ended, or changed after it, and are not packed since.",
)

heart_rate_alerts = Table(
    "heart_rate_alerts",
    metadata,
    Column("alert_id", BigInteger, Identity(), primary_key=True),
    Column("ride_id", ForeignKey(rides.c.ride_id, ondelete="CASCADE"), nullable=False),
    Column(
        "rider_id",
        ForeignKey(riders.c.rider_id, ondelete="CASCADE"),
        comment="NULL: who rode is not known",
    ),
    Column("level", Text, nullable=False, comment="low, high or critical"),
    Column("measured_at", _UTC, nullable=False, comment="the reading that made it an alert"),
    Column("heart_rate_bpm", SmallInteger, nullable=False, comment="that reading's heart rate"),
    Column("limit_bpm", Double, nullable=False, comment="the rider's limit that it passed"),
    Column("limit_rule", Text, nullable=False, comment="where that limit comes from"),
    Column(
        "state",
        Text,
        nullable=False,
        comment="pending, and sending while an alerter has it in hand, until sent, expired, "
        "undeliverable, failed, or unknown: perhaps sent; a mail that was sent may have bounced, "
        "or its rider complained of it",
    ),
    Column("created_at", _UTC, nullable=False, server_default=func.now()),
    Column("settled_at", _UTC, comment="when its end was known; NULL: pending or sending"),
    Column("attempts", Integer, nullable=False, server_default="0", comment="tries to send it"),
    Column("provider_message_id", Text, comment="what the mail provider calls the mail"),
    Column("latency_ms", Integer, comment="from the reading to the provider's acceptance"),
    Column("seen_at", _UTC, comment="the newest reading of the same danger; NULL: measured_at"),
    Column("seen_bpm", SmallInteger, comment="that reading's heart rate"),
    Column("owner", Text, comment="the alerter that has it in hand"),
    Column("owned_until", _UTC, comment="until then it is no other's"),
    Column(
        "fence",
        BigInteger,
        nullable=False,
        server_default="0",
        comment="how often it was taken in hand: who knows an older number has lost it",
    ),
    UniqueConstraint("ride_id", "level"),
    CheckConstraint("level IN ('low', 'high', 'critical')", name="level"),
    CheckConstraint(
        "state IN ('pending', 'sending', 'sent', 'expired', 'undeliverable', 'failed', 'unknown', "
        "'bounced', 'complained')",
        name="state",
    ),
    CheckConstraint("(state IN ('pending', 'sending')) = (settled_at IS NULL)", name="settled"),
    CheckConstraint(
        "(state = 'sending') = (owner IS NOT NULL) AND (owner IS NULL) = (owned_until IS NULL)",
        name="owned",
    ),
    Index("ix_heart_rate_alerts_measured_at", "measured_at"),
    Index("ix_heart_rate_alerts_rider_id_measured_at", "rider_id", "measured_at"),
    comment="An abnormal heart rate and the mail about it: at most one a ride and level.",
)
Index(
    "ix_heart_rate_alerts_open",
    heart_rate_alerts.c.measured_at,
    postgresql_where=text("state IN ('pending', 'sending')"),
)

Index(
    "ix_heart_rate_alerts_provider_message_id",
    heart_rate_alerts.c.provider_message_id,
    postgresql_where=text("provider_message_id IS NOT NULL"),
)

heart_rate_recoveries = Table(
    "heart_rate_recoveries",
    metadata,
    Column(
        "alert_id",
        ForeignKey(heart_rate_alerts.c.alert_id, ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
    ),
    Column("level", Text, nullable=False, comment="the alert's"),
    Column(
        "measured_at", _UTC, nullable=False, comment="the first of the readings that are normal"
    ),
    Column(
        "seen_at",
        _UTC,
        nullable=False,
        comment="the newest of them, by which it had been so for long enough",
    ),
    Column("heart_rate_bpm", SmallInteger, nullable=False, comment="that reading's heart rate"),
    Column(
        "state",
        Text,
        nullable=False,
        comment="as an alert's; expired also where the danger came back, or the ride was over",
    ),
    Column("created_at", _UTC, nullable=False, server_default=func.now()),
    Column("settled_at", _UTC, comment="when its end was known; NULL: pending or sending"),
    Column("attempts", Integer, nullable=False, server_default="0", comment="tries to send it"),
    Column("provider_message_id", Text, comment="what the mail provider calls the mail"),
    Column("latency_ms", Integer, comment="from that reading to the provider's acceptance"),
    Column("owner", Text, comment="the alerter that has it in hand"),
    Column("owned_until", _UTC, comment="until then it is no other's"),
    Column(
        "fence",
        BigInteger,
        nullable=False,
        server_default="0",
        comment="how often it was taken in hand: who knows an older number has lost it",
    ),
    CheckConstraint("level IN ('low', 'high', 'critical')", name="level"),
    CheckConstraint(
        "state IN ('pending', 'sending', 'sent', 'expired', 'undeliverable', 'failed', 'unknown', "
        "'bounced', 'complained')",
        name="state",
    ),
    CheckConstraint("(state IN ('pending', 'sending')) = (settled_at IS NULL)", name="settled"),
    CheckConstraint(
        "(state = 'sending') = (owner IS NOT NULL) AND (owner IS NULL) = (owned_until IS NULL)",
        name="owned",
    ),
    comment="A heart back to normal after an alert that was mailed, and the mail about it.",
)
Index(
    "ix_heart_rate_recoveries_open",
    heart_rate_recoveries.c.measured_at,
    postgresql_where=text("state IN ('pending', 'sending')"),
)
Index(
    "ix_heart_rate_recoveries_provider_message_id",
    heart_rate_recoveries.c.provider_message_id,
    postgresql_where=text("provider_message_id IS NOT NULL"),
)

danger_acknowledgements = Table(
    "danger_acknowledgements",
    metadata,
    Column("acknowledgement_id", BigInteger, Identity(), primary_key=True),
    Column(
        "alert_id",
        ForeignKey(heart_rate_alerts.c.alert_id, ondelete="CASCADE"),
        nullable=False,
        index=True,
    ),
    Column("staff_name", Text, nullable=False, comment="as the one who did it wrote it"),
    Column("note", Text, nullable=False, comment="what was done; may be empty"),
    Column("acknowledged_at", _UTC, nullable=False, server_default=func.now()),
    CheckConstraint("length(staff_name) BETWEEN 1 AND 60 AND length(note) <= 500", name="bounded"),
    comment="Who of the staff has seen to a danger; never changed, goes with the alert.",
)

refused_addresses = Table(
    "refused_addresses",
    metadata,
    Column(
        "rider_id",
        ForeignKey(riders.c.rider_id, ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
    ),
    Column(
        "digest",
        LargeBinary,
        primary_key=True,
        comment="SHA-256 of the address in lower case: another address takes mail again",
    ),
    Column("because", Text, nullable=False, comment="bounced or complained"),
    Column("refused_at", _UTC, nullable=False, server_default=func.now()),
    CheckConstraint("because IN ('bounced', 'complained')", name="because"),
    comment="Riders' addresses that took no mail for good, or whose owner complained.",
)

ride_hearts = Table(
    "ride_hearts",
    metadata,
    Column(
        "ride_id",
        ForeignKey(rides.c.ride_id, ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
    ),
    Column(
        "held_bpm",
        SmallInteger,
        comment="the highest rate kept up for 15 s, and not jumped to; NULL: none yet",
    ),
    Column(
        "proven_bpm",
        SmallInteger,
        comment="the highest such rate of earlier rides, by which this one is watched",
    ),
    Column("proven_rides", SmallInteger, comment="of how many earlier rides"),
    CheckConstraint("(proven_bpm IS NULL) = (proven_rides IS NULL)", name="proven"),
    comment="What a rider's heart has shown that it can do, in a ride and before it.",
)

rider_limits = Table(
    "rider_limits",
    metadata,
    Column(
        "rider_id",
        ForeignKey(riders.c.rider_id, ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
    ),
    Column("low_bpm", SmallInteger, comment="this and the next two: NULL is the rule's own limit"),
    Column("high_bpm", SmallInteger),
    Column("critical_bpm", SmallInteger),
    Column("alerts_on", Boolean, nullable=False, server_default=true()),
    Column("updated_at", _UTC, nullable=False, server_default=func.now()),
    CheckConstraint(
        "low_bpm BETWEEN 20 AND 250 AND high_bpm BETWEEN 20 AND 250 "
        "AND critical_bpm BETWEEN 20 AND 250",
        name="plausible",
    ),
    CheckConstraint(
        "low_bpm < high_bpm AND high_bpm <= critical_bpm AND low_bpm < critical_bpm", name="order"
    ),
    comment="A rider's own heart-rate limits, agreed with a doctor, or alerts switched off.",
)

reports = Table(
    "reports",
    metadata,
    Column("edition", Text, primary_key=True, comment="daily or weekly"),
    Column(
        "report_on", Date, primary_key=True, comment="the first day told of, in the company's zone"
    ),
    Column("state", Text, nullable=False, comment="sending until known: sent or failed"),
    Column("attempts", Integer, nullable=False, server_default="0", comment="tries to send it"),
    Column("started_at", _UTC, nullable=False, comment="when the last try began"),
    Column("sent_at", _UTC, comment="when the mail provider last accepted it"),
    Column("archived_at", _UTC, comment="when the archive last took it; NULL: not archived"),
    Column("provider_message_id", Text, comment="what the mail provider calls the mail"),
    Column("failure", Text, comment="why the last try failed"),
    CheckConstraint("edition IN ('daily', 'weekly')", name="edition"),
    CheckConstraint("state IN ('sending', 'sent', 'failed')", name="state"),
    CheckConstraint("(state = 'failed') = (failure IS NOT NULL)", name="failed_with_reason"),
    CheckConstraint("state <> 'sent' OR sent_at IS NOT NULL", name="sent_with_time"),
    comment="The CEO's reports: which days and weeks were told of, so that none is told twice.",
)

star_cells = Table(
    "star_cells",
    metadata,
    Column("cell", BigInteger, primary_key=True, autoincrement=False),
    Column("gender", Text, comment="this and all below: NULL: withheld"),
    Column("born_in", Text),
    Column("town", Text),
    Column("postcode_area", Text),
    Column("joined_year", Text),
    Column("source", Text),
    comment="What analysts are told of ten riders or more, in the same words.",
)

star_riders = Table(
    "star_riders",
    metadata,
    Column(
        "rider_id",
        ForeignKey(riders.c.rider_id, ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
    ),
    Column("rider_key", BigInteger, nullable=False, unique=True, comment="random, below 2^52"),
    Column(
        "cell",
        ForeignKey(star_cells.c.cell),
        index=True,
        comment="what is told of the rider; NULL: nothing",
    ),
    comment="Under which key analysts see a rider; goes with the rider.",
)

star_rides = Table(
    "star_rides",
    metadata,
    Column(
        "ride_id",
        ForeignKey(rides.c.ride_id, ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
    ),
    Column("rider_key", BigInteger),
    Column("bike_serial", Text, nullable=False),
    Column("started_at", _UTC, nullable=False),
    Column("started_local_at", DateTime, nullable=False, comment="in the company's time zone"),
    Column("started_on", Date, nullable=False, comment="the company's day"),
    Column("started_hour", SmallInteger, nullable=False),
    *(_column_of(figure) for figure in FIGURES if figure.in_star),
    Column("mean_power_watts_per_kg", Double),
    Column(
        "zone_1_s",
        Integer,
        comment="this and the next four: seconds in each heart-rate zone; "
        "NULL: age or readings not known",
    ),
    *(Column(f"zone_{number}_s", Integer) for number in range(2, 6)),
    Column("started_weekday", SmallInteger, comment="from 1 for Monday to 7 for Sunday"),
    Column(
        "rider_gender",
        Text,
        comment="this and the next two: of the rider, as known when the ride was taken up",
    ),
    Column("rider_age_band", Text, comment="on the day of the ride"),
    Column("rider_joined_month", Date, comment="its first day"),
    Column("months_since_joining", Integer, comment="0 is the month of joining"),
    # One for each sheet of the workbook that counts riders: see migration 0008.
    Index(
        "ix_star_rides_day",
        *("started_on", "rider_gender", "rider_key"),
        postgresql_include=["ride_id"],
    ),
    Index(
        "ix_star_rides_hour",
        *("started_hour", "started_weekday", "rider_key"),
        postgresql_include=["ride_id"],
    ),
    Index(
        "ix_star_rides_age_band",
        *("rider_age_band", "rider_key"),
        postgresql_include=["mean_power_watts", "mean_heart_rate_bpm"],
    ),
    Index("ix_star_rides_cohort", "rider_joined_month", "months_since_joining", "rider_key"),
    comment="What analysts see of a ride that has ended; goes with the ride.",
)

star_reading_minutes = Table(
    "star_reading_minutes",
    metadata,
    Column(
        "ride_id",
        ForeignKey(star_rides.c.ride_id, ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
    ),
    Column("minute", Integer, primary_key=True, autoincrement=False),
    *(
        _column_of(figure, nullable=not figure.name.endswith("_count"))
        for figure in FIGURES
        if figure.of_minutes
    ),
    comment="What analysts see of a ride's minutes; stays when readings grow too old.",
)

star_bikes = Table(
    "star_bikes",
    metadata,
    Column("bike_serial", ForeignKey(bikes.c.serial, ondelete="CASCADE"), primary_key=True),
    Column("firmware", Text, nullable=False, comment="unknown where it is"),
    Column(
        "power_sensor_is_faulty",
        Boolean,
        comment="by the latest ride that has ended; NULL: not known",
    ),
    comment="What analysts see of a bike.",
)

star_retention = Table(
    "star_retention",
    metadata,
    Column("joined_month", Date, primary_key=True, comment="its first day"),
    Column("months_since_joining", Integer, primary_key=True, autoincrement=False),
    Column("ridden_month", Date, nullable=False, comment="its first day"),
    Column("rider_count", BigInteger, nullable=False),
    Column("ride_count", BigInteger, nullable=False),
    CheckConstraint("rider_count >= 10", name="of_ten"),
    comment="Months of joining and of rides in which ten riders or more rode.",
)

star_alerts = Table(
    "star_alerts",
    metadata,
    Column("measured_week", Date, primary_key=True, comment="its Monday"),
    Column("level", Text, primary_key=True),
    Column("rider_count", BigInteger, nullable=False),
    Column("alert_count", BigInteger, nullable=False),
    Column("mean_latency_s", Double, comment="NULL: mails of fewer than ten riders"),
    Column("mean_recovered_s", Double, comment="NULL: seen of fewer than ten riders"),
    CheckConstraint("rider_count >= 10", name="of_ten"),
    comment="Weeks and levels of abnormal heart rates of ten riders or more.",
)

star_alert_limits = Table(
    "star_alert_limits",
    metadata,
    Column("level", Text, primary_key=True),
    Column("limit_from_bpm", Integer, primary_key=True, comment="of ten whole beats"),
    Column("rider_count", BigInteger, nullable=False, comment="in full tens"),
    Column("alert_count", BigInteger, nullable=False, comment="in full tens"),
    CheckConstraint("rider_count >= 10", name="of_ten"),
    comment="Limits that ten riders or more passed, in tens of beats.",
)

star_changes = Table(
    "star_changes",
    metadata,
    Column("change_id", BigInteger, Identity(), primary_key=True),
    Column("ride_id", BigInteger, nullable=False),
    comment="Rides that changed since the star was refreshed; written by triggers on rides.",
)

star_refreshes = Table(
    "star_refreshes",
    metadata,
    Column("only_row", Boolean, primary_key=True, server_default=true()),
    Column("refreshed_at", _UTC, comment="NULL: never"),
    Column("time_zone", Text, nullable=False, comment="by which days and hours are told"),
    Column("cells_on", Date, comment="the company's day on which riders got cells"),
    Column("cells_rider_count", Integer, comment="how many there were by then"),
    Column(
        "fill_version",
        Integer,
        nullable=False,
        server_default="1",
        comment="raised with each new column of the star: who fills fewer settles no ride",
    ),
    Column("groups_on", Date, comment="the company's day on which groups were counted"),
    Column("groups_rider_count", Integer, comment="how many riders there were by then"),
    CheckConstraint("only_row", name="only_row"),
    comment="One row: when the star was last brought up to date.",
)

ingest_offsets = Table(
    "ingest_offsets",
    metadata,
    Column("topic", Text, primary_key=True),
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("next_offset", BigInteger, nullable=False, comment="first record not yet stored"),
    Column("claim", BigInteger, nullable=False, comment="counts the workers that took over"),
    Column("notes", LargeBinary, nullable=False, comment="half readings and more, at next_offset"),
    Column("updated_at", _UTC, nullable=False, server_default=func.now()),
    comment="How far each partition is stored; moves in the transaction that stores the rows.",
)

ingest_streams = Table(
    "ingest_streams",
    metadata,
    Column("topic", Text, primary_key=True),
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("stream_key", LargeBinary, primary_key=True, comment="the messages' key"),
    Column("bike_serial", Text, nullable=False),
    Column("ride_id", BigInteger, nullable=False, comment="the stream's last ride"),
    Column("previous_started_at", _UTC, comment="this and below: of versions before; not read"),
    Column("previous_counted_at", _UTC),
    Column("previous_elapsed_s", Double),
    Column(
        "moved_at",
        _UTC,
        nullable=False,
        server_default=func.now(),
        comment="when it went on to its last ride, by this server's clock",
    ),
    comment="Which ride each stream is on, to go on with it after a restart.",
)

refused_lines = Table(
    "refused_lines",
    metadata,
    Column(
        "refused_in",
        _UTC,
        primary_key=True,
        comment="the quarter of an hour in which Kafka was given the line, by its beginning",
    ),
    Column("topic", Text, primary_key=True),
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("reason", Text, primary_key=True, comment="why, as the dead letter's header tells"),
    Column("line_count", BigInteger, nullable=False),
    comment="How many lines became dead letters; counted once each, when they were first met.",
)

erasures = Table(
    "erasures",
    metadata,
    Column("rider_id", BigInteger, primary_key=True, autoincrement=False),
    Column("erased_at", _UTC, nullable=False),
    comment="Riders whose data were erased: lines stamped before do not bring them back.",
)

deletion_turns = Table(
    "deletion_turns",
    metadata,
    Column("only_locked", Boolean, comment="nothing is ever stored here"),
    comment="Who stores and who deletes lock it, each in a way that keeps the other out.",
)

deleted_rides = Table(
    "deleted_rides",
    metadata,
    Column("ride_id", BigInteger, primary_key=True, autoincrement=False),
    Column("bike_serial", Text, nullable=False),
    Column("started_at", _UTC, nullable=False),
    Column("deleted_at", _UTC, nullable=False, server_default=func.now()),
    Column("clock_beginnings", ARRAY(_UTC), comment="as in rides"),
    Index("ix_deleted_rides_bike_serial_started_at", "bike_serial", "started_at"),
    comment="Rides that were deleted: lines of them that still come are stored nowhere.",
)

changes = Table(
    "changes",
    metadata,
    Column(
        "noted",
        BigInteger,
        Identity(),
        primary_key=True,
        comment="in the order of noting; of changes that overlap, the later may be seen first",
    ),
    Column(
        "change_id",
        BigInteger,
        unique=True,
        comment="its place in the feed, where none is left out; NULL: not numbered yet",
    ),
    Column("kind", Text, nullable=False),
    Column("ride_id", BigInteger, comment="the ride, perhaps deleted"),
    Column("rider_id", BigInteger, comment="or the rider, or erased"),
    Column("noted_at", _UTC, nullable=False, server_default=func.now()),
    Column("simulated", Boolean, nullable=False, server_default=false()),
    CheckConstraint(f"kind IN ({', '.join(repr(kind.value) for kind in ChangeKind)})", name="kind"),
    CheckConstraint("(ride_id IS NULL) <> (rider_id IS NULL)", name="of_one"),
    comment="What became of rides and riders: the feed that partners keep their copies by.",
)
Index("ix_changes_not_numbered", changes.c.noted, postgresql_where=changes.c.change_id.is_(None))

change_feed = Table(
    "change_feed",
    metadata,
    Column("only_row", Boolean, primary_key=True, server_default=true()),
    Column("last_change_id", BigInteger, nullable=False, server_default="0"),
    Column(
        "forgotten_until",
        BigInteger,
        nullable=False,
        server_default="0",
        comment="the last one that grew too old and is gone",
    ),
    CheckConstraint("only_row", name="only_row"),
    comment="One row: where the feed of changes stands. Who numbers changes locks it.",
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("key_id", Text, primary_key=True, comment="the public part of the key"),
    Column("name", Text, nullable=False, comment="who uses it"),
    Column("secret_hash", LargeBinary, nullable=False, comment="SHA-256 of the secret part"),
    Column("scopes", ARRAY(Text), nullable=False, comment="of read, personal, erase, webhooks"),
    Column("requests_per_minute", Integer, nullable=False, comment="in each API process"),
    Column("created_at", _UTC, nullable=False, server_default=func.now()),
    Column("revoked_at", _UTC, comment="from then on it opens nothing"),
    Column("expires_at", _UTC, comment="from then on it opens nothing; NULL: it has no end"),
    Column("last_used_at", _UTC, comment="to the minute; NULL: never, or before this was noted"),
    Column(
        "sandbox",
        Boolean,
        nullable=False,
        server_default=false(),
        comment="it sees simulated riders and nobody else",
    ),
    CheckConstraint("scopes <@ ARRAY['read', 'personal', 'erase', 'webhooks']", name="scopes"),
    CheckConstraint("requests_per_minute > 0", name="requests_per_minute"),
    comment="Who may ask the API, and what; the key itself is shown once and not kept.",
)

webhooks = Table(
    "webhooks",
    metadata,
    Column("webhook_id", BigInteger, Identity(), primary_key=True),
    Column(
        "key_id",
        ForeignKey(api_keys.c.key_id),
        nullable=False,
        comment="whose it is: it ends with the key",
    ),
    Column("url", Text, nullable=False),
    Column("kinds", ARRAY(Text), comment="NULL: every kind"),
    Column("secret", LargeBinary, nullable=False, comment="signs what is sent"),
    Column("former_secret", LargeBinary, comment="signs beside it"),
    Column("former_until", _UTC),
    Column(
        "change_id",
        BigInteger,
        nullable=False,
        comment="the last change that deliveries were made of",
    ),
    Column("state", Text, nullable=False, server_default="on", comment="on or off"),
    Column("off_because", Text, comment="dead or gone"),
    Column(
        "failures",
        Integer,
        nullable=False,
        server_default="0",
        comment="tries in a row that failed",
    ),
    Column("failing_since", _UTC, comment="the first of them"),
    Column("next_try_at", _UTC, nullable=False, server_default=func.now()),
    Column("created_at", _UTC, nullable=False, server_default=func.now()),
    CheckConstraint("state IN ('on', 'off')", name="state"),
    CheckConstraint(
        "(state = 'off') = (off_because IS NOT NULL) AND off_because IN ('dead', 'gone')",
        name="off_because",
    ),
    CheckConstraint("(former_secret IS NULL) = (former_until IS NULL)", name="former"),
    Index("ix_webhooks_key_id", "key_id"),
    comment="Where partners want to be told of changes.",
)

webhook_deliveries = Table(
    "webhook_deliveries",
    metadata,
    Column("delivery_id", BigInteger, Identity(), primary_key=True),
    Column("webhook_id", ForeignKey(webhooks.c.webhook_id, ondelete="CASCADE"), nullable=False),
    Column("change_id", BigInteger, nullable=False),
    Column("kind", Text, nullable=False, comment="this and the next three: the change's"),
    Column("ride_id", BigInteger),
    Column("rider_id", BigInteger),
    Column("noted_at", _UTC, nullable=False),
    Column(
        "about",
        Text,
        nullable=False,
        comment="the ride or the rider: what is about the same is sent one after the other",
    ),
    Column(
        "state",
        Text,
        nullable=False,
        server_default="pending",
        comment="pending until delivered, or failed: given up",
    ),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("created_at", _UTC, nullable=False, server_default=func.now()),
    Column("next_try_at", _UTC, nullable=False, server_default=func.now()),
    Column("give_up_at", _UTC, nullable=False),
    Column("owned_until", _UTC, comment="until then a worker has it in hand"),
    Column("last_status", Integer, comment="of the last try's answer"),
    Column("last_error", Text, comment="why there was no good answer"),
    Column("settled_at", _UTC, comment="NULL: pending"),
    UniqueConstraint("webhook_id", "change_id"),
    CheckConstraint("state IN ('pending', 'delivered', 'failed')", name="state"),
    CheckConstraint("(state = 'pending') = (settled_at IS NULL)", name="settled"),
    Index(
        "ix_webhook_deliveries_due",
        *("webhook_id", "next_try_at"),
        postgresql_where=text("state = 'pending'"),
    ),
    Index(
        "ix_webhook_deliveries_in_turn",
        *("webhook_id", "about", "change_id"),
        postgresql_where=text("state = 'pending'"),
    ),
    Index("ix_webhook_deliveries_webhook_id_delivery_id", "webhook_id", "delivery_id"),
    Index("ix_webhook_deliveries_settled_at", "settled_at"),
    comment="A change that a webhook is told of, and what became of that.",
)

audit = Table(
    "audit",
    metadata,
    Column("audit_id", BigInteger, Identity(), primary_key=True),
    Column("at", _UTC, nullable=False, server_default=func.now()),
    Column(
        "key_id",
        ForeignKey(api_keys.c.key_id),
        comment="who did it; NULL: the rider, by a link in a mail",
    ),
    Column(
        "action",
        Text,
        nullable=False,
        comment="delete_ride, erase_rider, export_rider or change_alerts",
    ),
    Column("subject_id", BigInteger, nullable=False, comment="the ride's or the rider's id"),
    Column("reason", Text, comment="as given by who did it"),
    CheckConstraint(
        "action IN ('delete_ride', 'erase_rider', 'export_rider', 'change_alerts')", name="action"
    ),
    CheckConstraint("key_id IS NOT NULL OR action = 'change_alerts'", name="who"),
    Index("ix_audit_subject_id", "subject_id"),
    comment="What was deleted or handed out of a person's data, by whom, when and why.",
)

key_requests = Table(
    "key_requests",
    metadata,
    Column("key_id", Text, primary_key=True),
    Column("minute", _UTC, primary_key=True),
    Column("asked", BigInteger, nullable=False, comment="in all processes"),
    comment="How often keys have asked in the last minutes; kept for five.",
    prefixes=["UNLOGGED"],
)

exports = Table(
    "exports",
    metadata,
    Column("export_id", BigInteger, Identity(), primary_key=True),
    Column(
        "key_id",
        ForeignKey(api_keys.c.key_id),
        nullable=False,
        comment="who asked, and alone is told of it",
    ),
    Column(
        "rider_id",
        BigInteger,
        nullable=False,
        comment="of whom; the row outlasts an erasure until the file is gone",
    ),
    Column(
        "state",
        Text,
        nullable=False,
        server_default="queued",
        comment="queued, running, then ready or failed; expired: no file any more",
    ),
    Column("requested_at", _UTC, nullable=False, server_default=func.now()),
    Column("finished_at", _UTC, comment="when it was ready or had failed"),
    Column("expires_at", _UTC, comment="from then on there is no file"),
    Column("removed_at", _UTC, comment="when its file was removed"),
    Column("size_bytes", BigInteger, comment="of the file"),
    Column("attempts", Integer, nullable=False, server_default="0", comment="tries to make it"),
    Column("owner", Text, comment="the process that makes it"),
    Column("owned_until", _UTC, comment="until then it is no other's"),
    Column("secret", LargeBinary, nullable=False, comment="signs addresses of the file, if we do"),
    CheckConstraint("state IN ('queued', 'running', 'ready', 'failed', 'expired')", name="state"),
    CheckConstraint("(owner IS NULL) = (owned_until IS NULL)", name="owned"),
    CheckConstraint("state <> 'ready' OR expires_at IS NOT NULL", name="expires"),
    Index("ix_exports_rider_id", "rider_id"),
    Index("ix_exports_key_id", "key_id"),
    comment="Exports of a person that are made in the background: which, for whom, how far.",
)
Index("ix_exports_open", exports.c.export_id, postgresql_where=exports.c.removed_at.is_(None))
