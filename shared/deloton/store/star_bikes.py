"""EDGE: what analysts are told of bikes: the table `star_bikes`.

A view that looked into rides by itself would tell, in a plan that is explained, of the ride in
progress that it passed over: which bike is being ridden.
"""

from typing import Final

from deloton.rules.canary import CANARY_BIKE
from deloton.rules.power import FAULTY_AFTER_S
from deloton.rules.sandbox import SANDBOX_BIKES
from deloton.store.database import Connection

_TELL_BIKES: Final = """
INSERT INTO star_bikes AS former (bike_serial, firmware, power_sensor_is_faulty)
SELECT serial, coalesce(firmware, 'unknown'), (
    SELECT power_deviation_s FROM rides
    WHERE bike_serial = serial AND ended_at IS NOT NULL
    ORDER BY started_at DESC LIMIT 1
) >= $1
FROM bikes WHERE serial <> $2 AND NOT starts_with(serial, $3)
ON CONFLICT (bike_serial) DO UPDATE SET
    firmware = excluded.firmware, power_sensor_is_faulty = excluded.power_sensor_is_faulty
WHERE (former.firmware, former.power_sensor_is_faulty)
    IS DISTINCT FROM (excluded.firmware, excluded.power_sensor_is_faulty)
"""


async def tell_bikes(connection: Connection) -> None:
    """Bring the star's bikes up to date, within a transaction of the caller's."""
    await connection.execute(_TELL_BIKES, FAULTY_AFTER_S, CANARY_BIKE, SANDBOX_BIKES)
