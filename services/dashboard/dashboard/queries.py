"""EDGE: every question the pages ask the database: bounded, indexed, shared by all viewers."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

import pandas as pd
from sqlalchemy import Select, literal_column, select, text

from dashboard import recent
from dashboard.bikes import with_state
from dashboard.danger import CALM_AFTER_S, in_danger
from dashboard.database import Database
from dashboard.figures import TOTALS, with_danger, with_limits
from dashboard.rider_cards import SPARKLINE_S
from dashboard.sharing import Answer, SharedAnswers
from deloton.rules import age_bands
from deloton.rules.figures import FIGURE
from deloton.rules.sandbox import FIRST_SANDBOX_RIDER_ID
from deloton.rules.silence import SILENCE_SQL
from deloton.store.figure_sql import (
    CONTACT_SHARE,
    of_readings,
    of_rides,
    readings_for_figures,
)
from deloton.store.leaders import Ages, leaders_since_ever
from deloton.store.ride_figures import personal_bests
from deloton.store.ride_readings import readings_of_ride
from deloton.store.rider_sql import GENDER, NAME, age_in_ride
from deloton.store.tables import riders, rides

LIVE_RIDES_LIMIT: Final = 20_000
RIDE_READINGS_LIMIT: Final = 3_600
RECENT_RIDES_LIMIT: Final = 150_000
ALERTS_LIMIT: Final = 5_000
BIKES_LIMIT: Final = 100_000
LEADERS_SHOWN: Final = 10

# For how many seconds an answer is fresh: what moves by the second, by the minute, hardly. A page
# asks each second, now and then a little sooner: an answer of a whole second would then come twice.
EACH_SECOND: Final = 0.8
A_FEW_SECONDS: Final = 5.0
TEN_SECONDS: Final = 10.0
HALF_A_MINUTE: Final = 30.0
FIVE_MINUTES: Final = 300.0

_PERSON = f"""
       {NAME} AS name, {GENDER} AS gender, riders.town,
       riders.born_on, riders.height_cm, riders.weight_kg,
       rider_limits.low_bpm, rider_limits.high_bpm, rider_limits.critical_bpm,
       ride_hearts.proven_bpm, ride_hearts.proven_rides
"""

_LIVE_RIDES = f"""
SELECT rides.ride_id, rides.rider_id, rides.bike_serial, rides.started_at, now() AS read_at,
       {_PERSON},
       last.at, last.elapsed_s, last.heart_rate_bpm, last.cadence_rpm, last.resistance,
       last.power_watts
FROM rides
CROSS JOIN LATERAL (
    SELECT * FROM readings
    WHERE readings.ride_id = rides.ride_id AND readings.at > now() - {SILENCE_SQL}
    ORDER BY readings.at DESC LIMIT 1
) AS last
LEFT JOIN riders USING (rider_id)
LEFT JOIN rider_limits USING (rider_id)
LEFT JOIN ride_hearts ON ride_hearts.ride_id = rides.ride_id
WHERE rides.ended_at IS NULL AND rides.started_at > now() - interval '1 day'
ORDER BY rides.started_at
LIMIT $1
"""  # noqa: S608  no value of anyone's

_SPARKLINES = """
SELECT ride_id, array_agg(heart_rate_bpm ORDER BY at) AS rates
FROM readings
WHERE ride_id = ANY($1) AND at > now() - $2 * interval '1 second'
GROUP BY ride_id
"""

_RIDE = f"""
SELECT rides.*, now() AS read_at, {_PERSON}
FROM rides LEFT JOIN riders USING (rider_id) LEFT JOIN rider_limits USING (rider_id)
LEFT JOIN ride_hearts ON ride_hearts.ride_id = rides.ride_id
WHERE rides.ride_id = $1
"""  # noqa: S608

# Of the ride $1 that started at $2.
_READINGS_OF_RIDE = readings_of_ride("$1", "$2::timestamptz")

_NEWEST_READINGS = f"""
SELECT at, elapsed_s, heart_rate_bpm, cadence_rpm, resistance, power_watts
FROM (
    SELECT * FROM {_READINGS_OF_RIDE}
    ORDER BY at DESC LIMIT $3
) AS newest
ORDER BY at
"""  # noqa: S608

_SO_FAR = f"""
SELECT {of_readings(FIGURE[name] for name in ("reading_count", *TOTALS))}
FROM {readings_for_figures(_READINGS_OF_RIDE)}
"""  # noqa: S608

_ALERT_COUNT = """
SELECT count(*) AS alerts FROM heart_rate_alerts WHERE measured_at > now() - interval '1 hour'
"""

# Of each ride under way whose rider was alerted in the last hours: the worst alert, the heart rates
# of the last $1 seconds, and who saw to it. An alert may be of a ride before: a rider who was just
# mailed is not mailed again.
_DANGERS = f"""
SELECT DISTINCT ON (rides.ride_id)
       rides.ride_id, rides.rider_id, rides.bike_serial, rides.started_at, {_PERSON},
       alerts.alert_id, alerts.measured_at, alerts.state, last.rates,
       seen.staff_name, seen.note, seen.acknowledged_at
FROM heart_rate_alerts AS alerts
JOIN rides ON rides.ride_id = alerts.ride_id OR rides.rider_id = alerts.rider_id
CROSS JOIN LATERAL (
    SELECT array_agg(heart_rate_bpm ORDER BY at) AS rates FROM readings
    WHERE readings.ride_id = rides.ride_id AND at > now() - $1 * interval '1 second'
) AS last
LEFT JOIN riders ON riders.rider_id = rides.rider_id
LEFT JOIN rider_limits ON rider_limits.rider_id = rides.rider_id
LEFT JOIN ride_hearts ON ride_hearts.ride_id = rides.ride_id
LEFT JOIN LATERAL (
    SELECT staff_name, note, acknowledged_at FROM danger_acknowledgements
    WHERE danger_acknowledgements.alert_id = alerts.alert_id
    ORDER BY acknowledged_at DESC, acknowledgement_id DESC LIMIT 1
) AS seen ON true
WHERE alerts.measured_at > now() - interval '3 hours'
AND rides.ended_at IS NULL AND rides.started_at > now() - interval '1 day'
ORDER BY rides.ride_id, array_position(ARRAY['critical', 'high', 'low'], alerts.level),
         alerts.measured_at DESC
"""  # noqa: S608

_ACKNOWLEDGE = """
INSERT INTO danger_acknowledgements (alert_id, staff_name, note)
SELECT alert_id, $2, $3 FROM heart_rate_alerts WHERE alert_id = $1
"""

_RECENT_RIDES = f"""
SELECT rides.ride_id, rides.rider_id, rides.started_at, rides.bike_serial,
       rides.ended_at, {", ".join(f"rides.{name}" for name in recent.FIGURES_OF_A_RIDE)},
       {NAME} AS name, {GENDER} AS gender, coalesce(riders.town, 'not known') AS town,
       {age_in_ride("$3")} AS age
FROM rides LEFT JOIN riders USING (rider_id)
WHERE rides.started_at >= now() - $1 * interval '1 hour' AND rides.started_at <= now()
ORDER BY rides.started_at DESC
LIMIT $2
"""  # noqa: S608

# Of the window $1 hours long that ended $8 windows ago, as its end found it: a ride that was under
# way then counts in no window, so that windows can be compared.
_HEADLINE = f"""
SELECT count(*) AS rides, count(DISTINCT rider_id) AS riders,
       {of_rides("duration_s")} AS duration_s,
       {of_rides("total_power_watts")} AS total_power_watts,
       {of_rides("mean_power_watts")} AS mean_power_watts
FROM rides LEFT JOIN riders USING (rider_id)
WHERE rides.started_at >= now() - ($8 + 1) * $1 * interval '1 hour'
  AND rides.started_at < now() - $8 * $1 * interval '1 hour'
  AND rides.ended_at < now() - $8 * $1 * interval '1 hour'
  AND (cardinality($2::text[]) = 0 OR {GENDER} = ANY($2))
  AND (cardinality($3::text[]) = 0 OR coalesce(riders.town, 'not known') = ANY($3))
  AND (cardinality($4::text[]) = 0 OR rides.bike_serial = ANY($4))
  AND (cardinality($5::int[]) = 0 OR coalesce(
      width_bucket({age_in_ride("$7")}, $6::int[]), cardinality($6) + 1
  ) = ANY($5))
"""  # noqa: S608

_ALERTS = f"""
SELECT alerts.measured_at, alerts.level, alerts.heart_rate_bpm, alerts.limit_bpm, alerts.state,
       alerts.latency_ms, alerts.attempts, alerts.ride_id, rides.bike_serial,
       recoveries.state AS recovery_state, {NAME} AS name
FROM heart_rate_alerts AS alerts
JOIN rides USING (ride_id)
LEFT JOIN heart_rate_recoveries AS recoveries USING (alert_id)
LEFT JOIN riders ON riders.rider_id = alerts.rider_id
WHERE alerts.measured_at > now() - $1 * interval '1 hour'
ORDER BY alerts.measured_at DESC
LIMIT $2
"""  # noqa: S608

# The latest ended ride of each bike, by the index of (bike, start).
_BIKES = """
SELECT bikes.serial, bikes.firmware, latest.ended_at, latest.power_deviation_s,
       latest.clock_slow_s, now() AS read_at
FROM bikes
LEFT JOIN LATERAL (
    SELECT rides.ended_at, rides.power_deviation_s,
           extract(epoch FROM rides.started_at
               - rides.clock_beginnings[array_upper(rides.clock_beginnings, 1)]) AS clock_slow_s
    FROM rides
    WHERE rides.bike_serial = bikes.serial AND rides.ended_at IS NOT NULL
    ORDER BY rides.started_at DESC LIMIT 1
) AS latest ON true
LIMIT $1
"""

# Asked apart: joined in SQL, each bike would be compared with each ride under way.
_BIKES_UNDER_WAY = """
SELECT rides.bike_serial AS serial, max(last.at) AS reading_at
FROM rides
CROSS JOIN LATERAL (
    SELECT readings.at FROM readings
    WHERE readings.ride_id = rides.ride_id AND readings.at > now() - interval '1 day'
    ORDER BY readings.at DESC LIMIT 1
) AS last
WHERE rides.ended_at IS NULL AND rides.started_at > now() - interval '1 day'
GROUP BY rides.bike_serial
LIMIT $1
"""

_BIKE_WEEKS = f"""
SELECT bike_serial, count(*) AS rides, {CONTACT_SHARE} AS contact_share
FROM rides
WHERE bike_serial = ANY($1) AND started_at > now() - interval '7 days'
GROUP BY bike_serial
"""  # noqa: S608

_WEEKS = f"""
SELECT date_trunc('week', started_at AT TIME ZONE $1)::date AS week, count(*) AS rides,
       count(DISTINCT rider_id) AS riders, {of_rides("duration_s")} AS duration_s,
       {of_rides("energy_kj")} AS energy_kj, {of_rides("max_power_watts")} AS max_power_watts
FROM rides GROUP BY week ORDER BY week
"""  # noqa: S608

_RIDER_COUNT = f"""
SELECT count(*) AS riders FROM riders WHERE rider_id < {FIRST_SANDBOX_RIDER_ID}
"""  # noqa: S608  a number of ours


@dataclass(frozen=True)
class Queries:
    """The questions, each with how long its answer is fresh."""

    database: Database
    answers: SharedAnswers
    time_zone: str

    def live_rides(self) -> Answer:
        """One row a ride with a reading within `SILENCE`, with its danger; worst first."""

        def ask() -> pd.DataFrame:
            rows = self.database.fetch(_LIVE_RIDES, LIVE_RIDES_LIMIT)
            return with_danger(rows, ZoneInfo(self.time_zone))

        return self.answers.get("live_rides", EACH_SECOND, ask)

    def sparklines(self, ride_ids: list[int]) -> Answer:
        """A row per ride: `rates`, the heart rates of its last minute, oldest first, with gaps."""
        ids = sorted(ride_ids)
        return self.answers.get(
            ("sparklines", *ids),
            2 * EACH_SECOND,
            lambda: self.database.fetch(_SPARKLINES, ids, SPARKLINE_S),
        )

    def ride(self, ride_id: int) -> Answer:
        """One ride with its rider and limits, or no row."""

        def ask() -> pd.DataFrame:
            rows = self.database.fetch(_RIDE, ride_id)
            return with_limits(rows, ZoneInfo(self.time_zone))

        return self.answers.get(("ride", ride_id), A_FEW_SECONDS, ask)

    def readings(self, ride_id: int, started_at: datetime) -> Answer:
        """One row a second of a ride, oldest first: at most its last hour."""
        return self.answers.get(
            ("readings", ride_id),
            EACH_SECOND,
            lambda: self.database.fetch(_NEWEST_READINGS, ride_id, started_at, RIDE_READINGS_LIMIT),
        )

    def so_far(self, ride_id: int, started_at: datetime) -> Answer:
        """One row: what a ride's readings come to by now, as they will once the ride is over."""
        return self.answers.get(
            ("so_far", ride_id),
            EACH_SECOND,
            lambda: self.database.fetch(_SO_FAR, ride_id, started_at),
        )

    def bests(self, rider_id: int) -> Answer:
        """A row per figure that the rider has a best in, of rides that have ended."""
        return self.answers.get(
            ("bests", rider_id),
            HALF_A_MINUTE,
            lambda: self.database.fetch_select(personal_bests(rider_id)),
        )

    def alerts_of_the_last_hour(self) -> Answer:
        """One row: `alerts`."""
        return self.answers.get(
            "alert_count", A_FEW_SECONDS, lambda: self.database.fetch(_ALERT_COUNT)
        )

    def dangers(self) -> Answer:
        """A row per rider in danger, as `danger.in_danger` says."""

        def ask() -> pd.DataFrame:
            rows = self.database.fetch(_DANGERS, CALM_AFTER_S)
            return in_danger(rows, ZoneInfo(self.time_zone))

        return self.answers.get("dangers", EACH_SECOND, ask)

    def acknowledge(self, alert_id: int, staff_name: str, note: str) -> None:
        """Note who of the staff sees to a danger."""
        self.database.store(_ACKNOWLEDGE, alert_id, staff_name, note)

    def recent_rides(self, window_h: int) -> Answer:
        """A row per ride that began in the last hours, newest first, as `recent.prepared` says."""

        def ask() -> pd.DataFrame:
            rows = self.database.fetch(_RECENT_RIDES, window_h, RECENT_RIDES_LIMIT, self.time_zone)
            return recent.prepared(rows, self.time_zone)

        return self.answers.get(("recent", window_h), HALF_A_MINUTE, ask)

    def headline(self, window_h: int, filters: recent.Filters, windows_ago: int) -> Answer:
        """One row: what the ended rides of a window add up to, as `recent.headline` does it.

        `windows_ago`: 0 is the window that ends now, 1 the one before it.
        """
        bands = [recent.AGE_BANDS.index(band) for band in filters.age_bands]
        chosen = [
            list(filters.genders),
            list(filters.towns),
            list(filters.bikes),
            bands,
            list(age_bands.BAND_STARTS),
            self.time_zone,
        ]
        return self.answers.get(
            ("headline", window_h, filters, windows_ago),
            HALF_A_MINUTE,
            lambda: self.database.fetch(_HEADLINE, window_h, *chosen, windows_ago),
        )

    def alerts(self, window_h: int) -> Answer:
        """A row per alert of the last hours, newest first."""
        return self.answers.get(
            ("alerts", window_h),
            A_FEW_SECONDS,
            lambda: self.database.fetch(_ALERTS, window_h, ALERTS_LIMIT),
        )

    def bikes(self) -> Answer:
        """A row per bike, as `bikes.with_state` says."""

        def ask() -> pd.DataFrame:
            under_way = self.database.fetch(_BIKES_UNDER_WAY, BIKES_LIMIT)
            return with_state(self.database.fetch(_BIKES, BIKES_LIMIT), under_way)

        return self.answers.get("bikes", TEN_SECONDS, ask)

    def bike_weeks(self, serials: list[str]) -> Answer:
        """A row per bike ridden in 7 days: `rides`, `contact_share` (of seconds, 0 to 1)."""
        return self.answers.get(
            ("bike_weeks", *serials),
            HALF_A_MINUTE,
            lambda: self.database.fetch(_BIKE_WEEKS, serials),
        )

    def weeks(self) -> Answer:
        """A row per week with rides, Monday by Monday: what they add up to."""
        return self.answers.get(
            "weeks", FIVE_MINUTES, lambda: self.database.fetch(_WEEKS, self.time_zone)
        )

    def rider_count(self) -> Answer:
        """One row: `riders` ever seen."""
        return self.answers.get("riders", FIVE_MINUTES, lambda: self.database.fetch(_RIDER_COUNT))

    def leaders(self, metric: str, ages: Ages) -> Answer:
        """The best riders in one of `LEADERS`, each once, of these ages (years, both included).

        `rider_id`, `name`, `age` (in the best ride), `town`, `value`, `started_at`, `ride_id`.
        """
        return self.answers.get(
            ("leaders", metric, ages),
            FIVE_MINUTES,
            lambda: self.database.fetch_select(_leaders(metric, ages, self.time_zone)),
        )


def _leaders(metric: str, ages: Ages, time_zone: str) -> Select[Any]:
    best = leaders_since_ever(metric, LEADERS_SHOWN, ages=ages, time_zone=time_zone)
    ride = best.join(rides, rides.c.ride_id == best.c.ride_id)
    return (
        select(
            best.c.rider_id,
            literal_column(NAME).label("name"),
            text(f"{age_in_ride(':zone')} AS age").bindparams(zone=time_zone),
            riders.c.town,
            *(best.c[name] for name in ("value", "started_at", "ride_id")),
        )
        .select_from(ride.join(riders, riders.c.rider_id == best.c.rider_id))
        .order_by(best.c.value.desc(), best.c.ride_id.desc())
        .limit(LEADERS_SHOWN)
    )
