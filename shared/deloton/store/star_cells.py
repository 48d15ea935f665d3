"""EDGE: what analysts are told of a rider: no more than is true of ten riders at least.

Riders who are told of in the same words make a cell. Each rider gets the finest cell of `LADDER`
that holds `FEWEST` riders, counted among those whom no finer one took; who finds none is told
nothing of, nor are those of the smallest cell where fewer than `FEWEST` would be left over.
Whoever groups by some of the words merges cells, so no group is smaller. An erasure that leaves a
cell with fewer withholds it at once: a trigger of migration 0039.
"""

from typing import Final

from deloton.rules.calendar import PLAUSIBLE_AGES
from deloton.store.database import Connection
from deloton.store.rider_sql import GENDER

FEWEST: Final = 10

# What is told of a rider: how it reads. Years of birth do not move with time, as an age would: who
# changes the band of age between two extracts has told the birthday.
WORDS: Final = {
    "gender": GENDER,
    "born_in": (
        "CASE WHEN date_part('year', now()) - date_part('year', riders.born_on) "
        f"BETWEEN {PLAUSIBLE_AGES.start} AND {PLAUSIBLE_AGES.stop - 1} "
        "THEN format('%s–%s', date_part('year', riders.born_on)::int / 10 * 10, "
        "date_part('year', riders.born_on)::int / 10 * 10 + 9) ELSE 'unknown' END"
    ),
    "town": "coalesce(riders.town, 'unknown')",
    "postcode_area": (
        "coalesce(substring(upper(riders.postcode) FROM '^([A-Z]{1,2})[0-9]'), 'unknown')"
    ),
    "joined_year": ("coalesce(date_part('year', riders.account_created_on)::int::text, 'unknown')"),
    "source": "coalesce(riders.original_source, 'unknown')",
}

# The finest first; what a rung leaves out is withheld. Gender and years of birth hold out longest:
# the workbook asks for them.
LADDER: Final = (
    ("gender", "born_in", "town", "postcode_area", "joined_year", "source"),
    ("gender", "born_in", "town", "postcode_area", "joined_year"),
    ("gender", "born_in", "town", "postcode_area"),
    ("gender", "born_in", "postcode_area", "joined_year"),
    ("gender", "born_in", "postcode_area"),
    ("gender", "born_in", "joined_year"),
    ("gender", "born_in"),
    ("gender",),
)


def _rung(number: int, told: tuple[str, ...]) -> str:
    """The riders whom no finer rung took, each with how many share the words of this one."""
    left = f"rung_{number - 1} WHERE riders < {FEWEST}" if number else "people"
    return (
        f"rung_{number} AS (SELECT rider_id, {', '.join(WORDS)}, "  # noqa: S608
        f"count(*) OVER (PARTITION BY {', '.join(told)}) AS riders FROM {left})"
    )


def _taken(number: int, told: tuple[str, ...]) -> str:
    """Those whom a rung takes, in its words."""
    words = ", ".join(name if name in told else "NULL::text" for name in WORDS)
    return f"SELECT rider_id, {words} FROM rung_{number} WHERE riders >= {FEWEST}"  # noqa: S608


_PLACE_RIDERS = f"""
WITH people AS MATERIALIZED (
    SELECT rider_id, {", ".join(f"{words} AS {name}" for name, words in WORDS.items())}
    FROM star_riders JOIN riders USING (rider_id)
    -- Whoever is being erased counts no more, and nobody waits for that.
    FOR NO KEY UPDATE OF star_riders SKIP LOCKED
), {", ".join(_rung(number, told) for number, told in enumerate(LADDER))},
taken (rider_id, {", ".join(WORDS)}) AS (
    {" UNION ALL ".join(_taken(number, told) for number, told in enumerate(LADDER))}
), named AS (
    SELECT *, hashtextextended(ROW({", ".join(WORDS)})::text, 0) AS cell FROM taken
), smallest AS (
    SELECT cell FROM named
    WHERE (SELECT count(*) FROM rung_{len(LADDER) - 1} WHERE riders < {FEWEST})
        BETWEEN 1 AND {FEWEST - 1}
    GROUP BY cell ORDER BY count(*), cell LIMIT 1
), kept AS (
    SELECT * FROM named WHERE NOT EXISTS (SELECT FROM smallest WHERE smallest.cell = named.cell)
), made AS (
    INSERT INTO star_cells (cell, {", ".join(WORDS)})
    SELECT DISTINCT cell, {", ".join(WORDS)} FROM kept
    ON CONFLICT DO NOTHING
)
UPDATE star_riders SET cell = kept.cell
FROM people LEFT JOIN kept USING (rider_id)
WHERE people.rider_id = star_riders.rider_id AND star_riders.cell IS DISTINCT FROM kept.cell
"""  # noqa: S608  names and SQL of our own

_DROP_EMPTY = """
DELETE FROM star_cells
WHERE NOT EXISTS (SELECT FROM star_riders WHERE star_riders.cell = star_cells.cell)
"""

# Once a day of the company's, and once there are a tenth more riders: not at every refresh, so
# that nobody learns from two of them whom a new rider resembles.
_IS_TIME = """
UPDATE star_refreshes SET cells_on = today, cells_rider_count = riders
FROM (
    SELECT count(*)::int AS riders, (now() AT TIME ZONE $1)::date AS today FROM star_riders
) found
WHERE cells_on IS DISTINCT FROM today OR riders > cells_rider_count * 1.1
RETURNING true
"""


# What two erasures at once left, neither of which saw the other's.
_WITHHOLD_SMALL = f"""
UPDATE star_riders SET cell = NULL WHERE rider_id IN (
    SELECT rider_id FROM star_riders
    WHERE cell IN (SELECT cell FROM star_riders GROUP BY cell HAVING count(*) < {FEWEST})
    FOR NO KEY UPDATE SKIP LOCKED
)
"""  # noqa: S608


async def place_riders(connection: Connection, time_zone: str) -> bool:
    """Give each rider a cell, where it is time to; return whether it was.

    Within a transaction of the caller's.
    """
    await connection.execute(_WITHHOLD_SMALL)
    if not await connection.fetchval(_IS_TIME, time_zone):
        return False
    await connection.execute(_PLACE_RIDERS)
    await connection.execute(_DROP_EMPTY)
    return True
