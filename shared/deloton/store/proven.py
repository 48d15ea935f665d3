"""EDGE: what riders' hearts have shown that they can do, asked of the database.

A ride proves something once it ended well: it is over, nothing critical was seen in it, and the
rider has come back for another ride half a day later or more. What was held more than a year ago,
or more than so many rides, proves nothing any more.
"""

from typing import Final

from deloton.rules.heart_rate import AlertLevel

RIDES_LOOKED_AT: Final = 20

# For a rider's ride (`rides.rider_id`, `rides.started_at`) one row: `proven_bpm`, the highest rate
# that the heart held in an earlier ride, and `proven_rides`, how many of those there are, or 0.
PROVEN_OF_RIDER: Final = f"""
SELECT max(held_bpm)::integer AS proven_bpm, count(*)::integer AS proven_rides
FROM (
    SELECT held_bpm
    FROM rides AS earlier JOIN ride_hearts ON ride_hearts.ride_id = earlier.ride_id
    WHERE earlier.rider_id = rides.rider_id
    AND earlier.started_at < rides.started_at - interval '12 hours'
    AND earlier.started_at > rides.started_at - interval '1 year'
    AND earlier.ended_at IS NOT NULL
    AND held_bpm IS NOT NULL
    AND NOT EXISTS (
        SELECT FROM heart_rate_alerts AS alerts
        WHERE alerts.ride_id = earlier.ride_id AND alerts.level = '{AlertLevel.CRITICAL}'
    )
    ORDER BY earlier.started_at DESC LIMIT {RIDES_LOOKED_AT}
) AS well_ended
"""  # noqa: S608  numbers and words of our own
