"""EDGE: every question the pages ask the database: bounded, indexed, shared by all viewers."""

from dataclasses import dataclass

from dashboard.database import Database
from dashboard.sharing import Answer, SharedAnswers

LIVE_RIDES_LIMIT = 20_000
RIDE_READINGS_LIMIT = 3_600

_LIVE_RIDES = """
SELECT rides.ride_id, rides.bike_serial, rides.started_at, now() AS read_at,
       concat_ws(' ', riders.first_name, riders.last_name) AS name,
       coalesce(riders.gender, 'unknown') AS gender,
       riders.born_on, riders.height_cm, riders.weight_kg,
       rider_limits.low_bpm, rider_limits.high_bpm, rider_limits.critical_bpm,
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
WHERE rides.ended_at IS NULL
ORDER BY rides.started_at
LIMIT $1
"""

_NEWEST_READINGS = """
SELECT at, elapsed_s, heart_rate_bpm, cadence_rpm, resistance, power_watts
FROM (
    SELECT * FROM readings
    WHERE ride_id = $1 AND at > now() - interval '1 day'
    ORDER BY at DESC LIMIT $2
) AS newest
ORDER BY at
"""


@dataclass(frozen=True)
class Queries:
    """The questions, each with how long its answer is fresh."""

    database: Database
    answers: SharedAnswers

    def live_rides(self) -> Answer:
        """One row a ride with a reading of the last 30 s, the newest reading beside it."""
        return self.answers.get(
            "live_rides", 1.0, lambda: self.database.fetch(_LIVE_RIDES, LIVE_RIDES_LIMIT)
        )

    def live_readings(self, ride_id: int) -> Answer:
        """One row a second of a ride under way, oldest first: at most its last hour."""
        return self.answers.get(
            ("live_readings", ride_id),
            1.0,
            lambda: self.database.fetch(_NEWEST_READINGS, ride_id, RIDE_READINGS_LIMIT),
        )
