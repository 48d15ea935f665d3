"""EDGE: the counts of a day or week from PostgreSQL: from rides' totals, never from readings."""

from collections.abc import Sequence

import msgspec

from deloton.rules.age_bands import BAND_STARTS, age_band_label
from deloton.rules.power import FAULTY_AFTER_S
from deloton.store.database import Connection
from deloton.store.figure_sql import CONTACT_SHARE, in_words, may_lead, of_rides
from deloton.store.rider_sql import GENDER, NAME, age_in_ride
from reporter.days import Period
from reporter.summary import (
    CUT_SHORT_S,
    AlertCount,
    Counts,
    Group,
    Leader,
    PartTotals,
    RefusalCount,
    Totals,
    compared_periods,
)

LEADERS_TOLD = 5
TOWNS = 5
SOURCES = 6

_IS_FAULTY = f"power_deviation_s >= {FAULTY_AFTER_S}"

_TOTALS = f"""
WITH periods AS (
    SELECT * FROM unnest($1::date[], $2::timestamptz[], $3::timestamptz[])
        AS periods ("on", begins_at, ends_at)
)
SELECT periods."on", own.*, new.new_riders, alerts.alerts, refused.dead_letters
FROM periods
CROSS JOIN LATERAL (
    SELECT count(*) AS rides,
           count(DISTINCT rider_id) AS riders,
           {of_rides("duration_s")} AS ride_time_s,
           {of_rides("total_power_watts")} AS total_power_watts,
           {of_rides("energy_kj")} AS energy_kj,
           avg(duration_s) AS mean_duration_s,
           {of_rides("mean_power_watts")} AS mean_power_watts,
           {of_rides("mean_heart_rate_bpm")} AS mean_heart_rate_bpm,
           count(*) FILTER (WHERE ended_at IS NULL) AS open_rides,
           count(*) FILTER (WHERE duration_s < $4) AS rides_cut_short,
           count(*) FILTER (WHERE rider_id IS NULL) AS rides_without_rider,
           1 - {CONTACT_SHARE} AS without_contact_share,
           count(DISTINCT bike_serial) FILTER (WHERE {_IS_FAULTY}) AS faulty_bikes
    FROM rides WHERE started_at >= periods.begins_at AND started_at < periods.ends_at
) own
CROSS JOIN LATERAL (
    SELECT count(*) AS new_riders FROM (
        SELECT DISTINCT rider_id FROM rides
        WHERE started_at >= periods.begins_at AND started_at < periods.ends_at
    ) rode
    WHERE rider_id IS NOT NULL AND NOT EXISTS (
        SELECT FROM rides earlier
        WHERE earlier.rider_id = rode.rider_id AND earlier.started_at < periods.begins_at
    )
) new
CROSS JOIN LATERAL (
    SELECT count(*) AS alerts FROM heart_rate_alerts
    WHERE measured_at >= periods.begins_at AND measured_at < periods.ends_at
) alerts
CROSS JOIN LATERAL (
    SELECT coalesce(sum(line_count), 0)::bigint AS dead_letters FROM refused_lines
    WHERE refused_in >= periods.begins_at AND refused_in < periods.ends_at
) refused
"""  # noqa: S608

_FIRST_RIDE = "SELECT started_at FROM rides ORDER BY started_at LIMIT 1"

_PARTS = f"""
SELECT width_bucket(started_at, $3::timestamptz[]) - 1 AS number,
       count(*) AS rides,
       {of_rides("total_power_watts")} AS total_power_watts,
       {of_rides("mean_power_watts")} AS mean_power_watts
FROM rides WHERE started_at >= $1 AND started_at < $2
GROUP BY number
"""  # noqa: S608

# All groupings of the rides at once: each row belongs to one `kind`, named as in `Counts`.
_GROUPS = f"""
WITH ridden AS (
    SELECT rider_id, duration_s, town, original_source AS source, {GENDER} AS gender,
           width_bucket({age_in_ride("$3")}, $4::int[])::text AS age,
           row_number() OVER (PARTITION BY rider_id ORDER BY started_at) = 1
               AND rider_id IS NOT NULL AS is_first
    FROM rides LEFT JOIN riders USING (rider_id)
    WHERE started_at >= $1 AND started_at < $2
), told AS MATERIALIZED (
    SELECT ridden.*, is_first AND NOT EXISTS (
        SELECT FROM rides earlier
        WHERE earlier.rider_id = ridden.rider_id AND earlier.started_at < $1
    ) AS is_new
    FROM ridden
)
SELECT CASE WHEN grouping(gender) = 0 THEN 'genders' WHEN grouping(age) = 0 THEN 'ages'
            WHEN grouping(town) = 0 THEN 'towns' ELSE 'sources' END AS kind,
       coalesce(gender, age, town, source) AS label,
       count(*) AS rides,
       count(*) FILTER (WHERE is_first) AS riders,
       count(*) FILTER (WHERE is_new) AS new_riders,
       coalesce(sum(duration_s), 0) AS ride_time_s
FROM told GROUP BY GROUPING SETS ((gender), (age), (town), (source))
ORDER BY coalesce(gender, age, town, source) IS NULL, rides DESC, label
"""  # noqa: S608

# By what the rides of each come to together.
_LEADERS = {
    figure: f"""
SELECT riders.rider_id, nullif({NAME}, '') AS name, count(*) AS rides,
       {of_rides("duration_s")} AS ride_time_s,
       {of_rides("energy_kj")} AS energy_kj,
       {of_rides("max_power_watts")} AS max_power_watts
FROM rides JOIN riders USING (rider_id)
WHERE started_at >= $1 AND started_at < $2 AND {in_words(may_lead(figure))}
GROUP BY riders.rider_id
HAVING {of_rides(figure)} > 0
ORDER BY {of_rides(figure)} DESC, riders.rider_id LIMIT $3
"""  # noqa: S608
    for figure in ("energy_kj", "max_power_watts")
}

_ALERTS = """
SELECT level, count(*) AS alerts,
       count(*) FILTER (WHERE state = 'sent') AS sent,
       count(*) FILTER (WHERE state IN ('pending', 'sending')) AS pending
FROM heart_rate_alerts WHERE measured_at >= $1 AND measured_at < $2
GROUP BY level ORDER BY array_position(ARRAY['critical', 'high', 'low'], level)
"""


_FAULTY_BIKES = f"""
SELECT DISTINCT bike_serial FROM rides
WHERE started_at >= $1 AND started_at < $2 AND {_IS_FAULTY}
ORDER BY bike_serial
"""  # noqa: S608

_REFUSALS = """
SELECT reason, sum(line_count)::bigint AS lines
FROM refused_lines WHERE refused_in >= $1 AND refused_in < $2
GROUP BY reason ORDER BY lines DESC, reason
"""


async def count_period(connection: Connection, period: Period) -> Counts:
    """Count all that the report of a period tells, as of one moment."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        span = (period.begins_at, period.ends_at)
        groups = await _groups(connection, period)
        faulty = await connection.fetch(_FAULTY_BIKES, *span)
        return Counts(
            totals=await count_totals(connection, compared_periods(period)),
            first_ride_at=await connection.fetchval(_FIRST_RIDE),
            parts=await _parts(connection, period),
            genders=groups["genders"],
            ages=_banded(groups["ages"]),
            towns=[group for group in groups["towns"] if group.label is not None][:TOWNS],
            sources=groups["sources"][:SOURCES],
            leaders=await _leaders(connection, "energy_kj", period),
            sprinters=await _leaders(connection, "max_power_watts", period),
            alerts=[AlertCount(**row) for row in await connection.fetch(_ALERTS, *span)],
            faulty_serials=[row["bike_serial"] for row in faulty],
            refusals=[RefusalCount(**row) for row in await connection.fetch(_REFUSALS, *span)],
        )


async def count_totals(connection: Connection, periods: Sequence[Period]) -> list[Totals]:
    """The totals of each of these periods, oldest first."""
    rows = await connection.fetch(
        _TOTALS,
        [period.on for period in periods],
        [period.begins_at for period in periods],
        [period.ends_at for period in periods],
        float(CUT_SHORT_S),
    )
    return sorted((Totals(**row) for row in rows), key=lambda totals: totals.on)


async def _parts(connection: Connection, period: Period) -> dict[int, PartTotals]:
    parts = period.parts
    starts = [part.begins_at for part in parts]
    rows = await connection.fetch(_PARTS, period.begins_at, period.ends_at, starts)
    return {number: PartTotals(parts[number].label, *facts) for number, *facts in rows}


async def _groups(connection: Connection, period: Period) -> dict[str, list[Group]]:
    """The rides by gender, age band (its number), town and source, the largest first."""
    rows = await connection.fetch(
        _GROUPS, period.begins_at, period.ends_at, period.zone.key, list(BAND_STARTS)
    )
    groups: dict[str, list[Group]] = {"genders": [], "ages": [], "towns": [], "sources": []}
    for kind, *facts in rows:
        groups[kind].append(Group(*facts))
    return groups


async def _leaders(connection: Connection, figure: str, period: Period) -> list[Leader]:
    rows = await connection.fetch(_LEADERS[figure], period.begins_at, period.ends_at, LEADERS_TOLD)
    return [Leader(**row) for row in rows]


def _banded(ages: Sequence[Group]) -> list[Group]:
    """Name the bands that the database gave numbers to."""
    return [
        msgspec.structs.replace(age, label=age.label and age_band_label(int(age.label)))
        for age in ages
    ]
