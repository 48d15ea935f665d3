"""EDGE: every question the pages ask the database: bounded, indexed, shared by all viewers."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import pandas as pd

from dashboard import recent
from dashboard.bikes import with_state
from dashboard.database import Database
from dashboard.figures import with_danger, with_limits
from dashboard.rider_cards import SPARKLINE_S
from dashboard.sharing import Answer, SharedAnswers
from deloton import age_bands
from deloton.ride_figures import CONTACT_SHARE, MEAN_POWER_WATTS, personal_bests

LIVE_RIDES_LIMIT: Final = 20_000
RIDE_READINGS_LIMIT: Final = 3_600
RECENT_RIDES_LIMIT: Final = 150_000
ALERTS_LIMIT: Final = 5_000
BIKES_LIMIT: Final = 100_000
LEADERS: Final = 10

# For how many seconds an answer is fresh: what moves by the second, by the minute, hardly. A page
# asks each second, now and then a little sooner: an answer of a whole second would then come twice.
EACH_SECOND: Final = 0.8
A_FEW_SECONDS: Final = 5.0
TEN_SECONDS: Final = 10.0
HALF_A_MINUTE: Final = 30.0
FIVE_MINUTES: Final = 300.0

_PERSON = """
       concat_ws(' ', riders.first_name, riders.last_name) AS name,
       coalesce(riders.gender, 'unknown') AS gender, riders.town,
       riders.born_on, riders.height_cm, riders.weight_kg,
       rider_limits.low_bpm, rider_limits.high_bpm, rider_limits.critical_bpm
"""

_LIVE_RIDES = f"""
SELECT rides.ride_id, rides.rider_id, rides.bike_serial, rides.started_at, now() AS read_at,
       {_PERSON},
       last.at, last.elapsed_s, last.heart_rate_bpm, last.cadence_rpm, last.resistance,
       last.power_watts
FROM rides
CROSS JOIN LATERAL (
    SELECT * FROM readings
    WHERE readings.ride_id = rides.ride_id AND readings.at > now() - interval '30 seconds'
    ORDER BY readings.at DESC LIMIT 1
) AS last
LEFT JOIN riders USING (rider_id)
LEFT JOIN rider_limits USING (rider_id)
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
WHERE ride_id = $1
"""  # noqa: S608

_NEWEST_READINGS = """
SELECT at, elapsed_s, heart_rate_bpm, cadence_rpm, resistance, power_watts
FROM (
    SELECT * FROM readings
    WHERE ride_id = $1 AND at BETWEEN $2::timestamptz - interval '1 day' AND $2 + interval '2 days'
    ORDER BY at DESC LIMIT $3
) AS newest
ORDER BY at
"""

_ALERT_COUNT = """
SELECT count(*) AS alerts FROM heart_rate_alerts WHERE measured_at > now() - interval '1 hour'
"""

_RECENT_RIDES = """
SELECT rides.ride_id, rides.rider_id, rides.started_at, rides.duration_s, rides.bike_serial,
       rides.reading_count, rides.mean_power_watts, rides.max_power_watts,
       rides.total_power_watts, rides.energy_kj, rides.mean_heart_rate_bpm,
       rides.max_heart_rate_bpm,
       concat_ws(' ', riders.first_name, riders.last_name) AS name,
       coalesce(riders.gender, 'unknown') AS gender, coalesce(riders.town, 'not known') AS town,
       extract(year FROM age(rides.started_at::date, riders.born_on))::int AS age
FROM rides LEFT JOIN riders USING (rider_id)
WHERE rides.started_at >= now() - $1 * interval '1 hour' AND rides.started_at <= now()
ORDER BY rides.started_at DESC
LIMIT $2
"""

_WINDOW_BEFORE = f"""
SELECT count(*) AS rides, count(DISTINCT rider_id) AS riders,
       coalesce(sum(duration_s), 0) AS duration_s,
       coalesce(sum(total_power_watts), 0) AS total_power_watts,
       {MEAN_POWER_WATTS} AS mean_power_watts
FROM rides LEFT JOIN riders USING (rider_id)
WHERE rides.started_at >= now() - 2 * $1 * interval '1 hour'
  AND rides.started_at < now() - $1 * interval '1 hour'
  AND (cardinality($2::text[]) = 0 OR coalesce(riders.gender, 'unknown') = ANY($2))
  AND (cardinality($3::text[]) = 0 OR coalesce(riders.town, 'not known') = ANY($3))
  AND (cardinality($4::text[]) = 0 OR rides.bike_serial = ANY($4))
  AND (cardinality($5::int[]) = 0 OR coalesce(width_bucket(
      extract(year FROM age(rides.started_at::date, riders.born_on))::int, $6::int[]
  ), cardinality($6) + 1) = ANY($5))
"""  # noqa: S608

_ALERTS = """
SELECT alerts.measured_at, alerts.level, alerts.heart_rate_bpm, alerts.limit_bpm, alerts.state,
       alerts.latency_ms, alerts.attempts, alerts.ride_id, rides.bike_serial,
       concat_ws(' ', riders.first_name, riders.last_name) AS name
FROM heart_rate_alerts AS alerts
JOIN rides USING (ride_id)
LEFT JOIN riders ON riders.rider_id = alerts.rider_id
WHERE alerts.measured_at > now() - $1 * interval '1 hour'
ORDER BY alerts.measured_at DESC
LIMIT $2
"""

# The latest ended ride of each bike, by the index of (bike, start).
_BIKES = """
SELECT bikes.serial, bikes.firmware, latest.ended_at, latest.power_deviation_s, now() AS read_at
FROM bikes
LEFT JOIN LATERAL (
    SELECT rides.ended_at, rides.power_deviation_s FROM rides
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

_WEEKS = """
SELECT date_trunc('week', started_at AT TIME ZONE $1)::date AS week, count(*) AS rides,
       count(DISTINCT rider_id) AS riders, coalesce(sum(duration_s), 0) AS duration_s,
       coalesce(sum(energy_kj), 0) AS energy_kj, max(max_power_watts) AS max_power_watts
FROM rides GROUP BY week ORDER BY week
"""

_RIDER_COUNT = "SELECT count(*) AS riders FROM riders"

# Many rides may be one rider's: the best of so many are looked through for different riders.
_LEADERS = """
SELECT * FROM (
    SELECT DISTINCT ON (rider_id) rider_id, name, age, town, value, started_at, ride_id
    FROM (
        SELECT rides.rider_id, concat_ws(' ', riders.first_name, riders.last_name) AS name,
               extract(year FROM age(rides.started_at::date, riders.born_on))::int AS age,
               riders.town, rides.{metric} AS value, rides.started_at, rides.ride_id
        FROM rides JOIN riders USING (rider_id)
        WHERE rides.{metric} IS NOT NULL
          AND ($1::int IS NULL OR riders.born_on <= rides.started_at::date - $1 * interval '1 year')
          AND ($2::int IS NULL
               OR riders.born_on > rides.started_at::date - ($2 + 1) * interval '1 year')
        ORDER BY rides.{metric} DESC, rides.ride_id DESC
        LIMIT 500
    ) AS best
    ORDER BY rider_id, value DESC
) AS of_each
ORDER BY value DESC LIMIT $3
"""

LEADER_METRICS: Final = {
    "max_power_watts": ("Highest power", "W"),
    "mean_power_watts": ("Mean power", "W"),
    "energy_kj": ("Energy of a ride", "kJ"),
}


@dataclass(frozen=True)
class Queries:
    """The questions, each with how long its answer is fresh."""

    database: Database
    answers: SharedAnswers
    time_zone: str

    def live_rides(self) -> Answer:
        """One row a ride with a reading of the last 30 s, with its danger; worst first."""

        def ask() -> pd.DataFrame:
            rows = self.database.fetch(_LIVE_RIDES, LIVE_RIDES_LIMIT)
            return with_danger(rows, datetime.now(UTC).date())

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
            return with_limits(rows, datetime.now(UTC).date())

        return self.answers.get(("ride", ride_id), A_FEW_SECONDS, ask)

    def readings(self, ride_id: int, started_at: datetime) -> Answer:
        """One row a second of a ride, oldest first: at most its last hour."""
        return self.answers.get(
            ("readings", ride_id),
            EACH_SECOND,
            lambda: self.database.fetch(_NEWEST_READINGS, ride_id, started_at, RIDE_READINGS_LIMIT),
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

    def recent_rides(self, window_h: int) -> Answer:
        """A row per ride that began in the last hours, newest first, as `recent.prepared` says."""

        def ask() -> pd.DataFrame:
            rows = self.database.fetch(_RECENT_RIDES, window_h, RECENT_RIDES_LIMIT)
            return recent.prepared(rows, self.time_zone)

        return self.answers.get(("recent", window_h), HALF_A_MINUTE, ask)

    def window_before(self, window_h: int, filters: recent.Filters) -> Answer:
        """One row: the headline figures of as many hours before, with the same filters."""
        bands = [recent.AGE_BANDS.index(band) for band in filters.age_bands]
        chosen = [
            list(filters.genders),
            list(filters.towns),
            list(filters.bikes),
            bands,
            list(age_bands.BAND_STARTS),
        ]
        return self.answers.get(
            ("before", window_h, filters),
            HALF_A_MINUTE,
            lambda: self.database.fetch(_WINDOW_BEFORE, window_h, *chosen),
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

    def leaders(self, metric: str, ages: tuple[int | None, int | None]) -> Answer:
        """The best riders in one of `LEADER_METRICS`, of some age (years, both included)."""
        if metric not in LEADER_METRICS:
            raise ValueError(f"no leaders are kept by {metric!r}")
        sql = _LEADERS.format(metric=metric)
        return self.answers.get(
            ("leaders", metric, ages),
            FIVE_MINUTES,
            lambda: self.database.fetch(sql, *ages, LEADERS),
        )
