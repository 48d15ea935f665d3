"""Analysts are told of a rider what is true of ten at least; of alerts and returns, counts.

A rider's words lie in a cell (`deloton.store.star_cells` says which). Until the refresh that
follows gives them one, as while one of the version before runs, nothing is told of riders.
"""

from typing import Any

import sqlalchemy as sa
from alembic import context, op

revision = "0039"
down_revision = "0038"
branch_labels = None
depends_on = None

ROLE = "tableau_reader"
FEWEST = 10
WORDS = ("gender", "born_in", "town", "postcode_area", "joined_year", "source")

WITHHOLD = f"""
CREATE FUNCTION withhold_small_cells() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    UPDATE star_riders SET cell = NULL WHERE rider_id IN (
        SELECT rider_id FROM star_riders WHERE cell IN (
            SELECT cell FROM star_riders WHERE cell IN (SELECT cell FROM gone)
            GROUP BY cell HAVING count(*) < {FEWEST}
        )
        -- Two erasures at once never wait for one another.
        FOR NO KEY UPDATE SKIP LOCKED
    );
    RETURN NULL;
END $$
"""  # noqa: S608  our own words

# view: (comment, query, column: comment). What a ride's figures mean is taken over from before.
FACT_RIDES = """
SELECT r.ride_id, r.rider_key, r.started_on, r.started_hour, r.started_weekday,
       coalesce(c.gender, 'withheld') AS rider_gender,
       coalesce(c.born_in, 'withheld') AS rider_born_in,
       r.heart_rate_count::float8 / nullif(r.reading_count, 0) AS contact_share,
       {figures}
FROM public.star_rides r
LEFT JOIN public.star_riders k ON k.rider_key = r.rider_key
LEFT JOIN public.star_cells c ON c.cell = k.cell
"""
FIGURES = (
    "duration_s",
    "reading_count",
    "heart_rate_count",
    "mean_heart_rate_bpm",
    "max_heart_rate_bpm",
    "mean_cadence_rpm",
    "max_cadence_rpm",
    "mean_resistance",
    "mean_power_watts",
    "max_power_watts",
    "energy_kj",
    "power_deviation_s",
)
WITHHELD = "withheld: fewer than ten riders would share it."
VIEWS: dict[str, tuple[str, str, dict[str, str]]] = {
    "fact_rides": (
        "One row a ride that has ended.",
        FACT_RIDES.format(figures=", ".join(f"r.{name}" for name in FIGURES)),
        {
            "rider_gender": f"The rider's gender: female, male, other, unknown, or {WITHHELD}",
            "rider_born_in": f"The ten years in which the rider was born; unknown, or {WITHHELD}",
        },
    ),
    "fact_retention": (
        (
            "One row a month of joining and a month since, which is over, in which ten riders or "
            "more rode."
        ),
        f"""
        SELECT rider_joined_month AS joined_month, months_since_joining,
               (rider_joined_month + make_interval(months => months_since_joining))::date
                   AS ridden_month,
               count(DISTINCT rider_key) AS rider_count, count(*) AS ride_count
        FROM public.star_rides
        WHERE rider_joined_month + make_interval(months => months_since_joining) < (
            SELECT date_trunc('month', now() AT TIME ZONE time_zone) FROM public.star_refreshes
        )
        GROUP BY 1, 2
        HAVING count(DISTINCT rider_key) >= {FEWEST}
        """,  # noqa: S608
        {
            "joined_month": "The first day of the month in which the riders joined.",
            "months_since_joining": (
                "Months from the one of joining, which is 0, to the one of the rides. "
                "Negative: the rides came before."
            ),
            "ridden_month": "The first day of the month of the rides: the key of dim_dates.",
            "rider_count": "Riders who rode.",
            "ride_count": "Their rides.",
        },
    ),
    "fact_alerts": (
        ("One row a week that is over and a level, of abnormal heart rates of ten riders or more."),
        f"""
        SELECT (date_trunc('week', a.measured_at AT TIME ZONE z.time_zone))::date AS measured_week,
               a.level, count(DISTINCT a.rider_id) AS rider_count, count(*) AS alert_count,
               CASE WHEN count(DISTINCT a.rider_id) FILTER (WHERE a.latency_ms IS NOT NULL)
                   >= {FEWEST} THEN avg(a.latency_ms)::float8 / 1000.0 END AS mean_latency_s,
               CASE WHEN count(DISTINCT a.rider_id) FILTER (WHERE r.measured_at IS NOT NULL)
                   >= {FEWEST} THEN avg(extract(epoch FROM r.measured_at - a.measured_at))::float8
                   END AS mean_recovered_s
        FROM public.heart_rate_alerts a
        CROSS JOIN public.star_refreshes z
        LEFT JOIN public.heart_rate_recoveries r USING (alert_id)
        WHERE a.rider_id < 8000000000000000000
        AND a.measured_at < date_trunc('week', now() AT TIME ZONE z.time_zone)
            AT TIME ZONE z.time_zone
        GROUP BY 1, 2
        HAVING count(DISTINCT a.rider_id) >= {FEWEST}
        """,  # noqa: S608
        {
            "measured_week": "The Monday of the company's week: the key of dim_dates.",
            "level": "low, high or critical.",
            "rider_count": "Riders whose heart rate it was.",
            "alert_count": "Alerts.",
            "mean_latency_s": (
                "Mean seconds from the reading to the mail provider's acceptance. "
                "Empty: mails of fewer than ten riders."
            ),
            "mean_recovered_s": (
                "Mean seconds until the heart rate was back to normal, where it stayed so. "
                "Empty: seen of fewer than ten riders."
            ),
        },
    ),
    "fact_alert_limits": (
        (
            "One row a level and ten beats of limits, of ten riders or more, of all weeks that are "
            "over; counts are rounded down to tens."
        ),
        f"""
        SELECT a.level, (floor(a.limit_bpm / 10) * 10)::int AS limit_from_bpm,
               count(DISTINCT a.rider_id) / 10 * 10 AS rider_count,
               count(*) / 10 * 10 AS alert_count
        FROM public.heart_rate_alerts a CROSS JOIN public.star_refreshes z
        WHERE a.rider_id < 8000000000000000000
        AND a.measured_at < date_trunc('week', now() AT TIME ZONE z.time_zone)
            AT TIME ZONE z.time_zone
        GROUP BY 1, 2
        HAVING count(DISTINCT a.rider_id) >= {FEWEST}
        """,  # noqa: S608
        {
            "level": "low, high or critical.",
            "limit_from_bpm": "The least of ten whole beats a minute in which the limit lies.",
            "rider_count": "Riders who passed such a limit, in full tens.",
            "alert_count": "Alerts, in full tens.",
        },
    ),
    "dim_riders": (
        "One row a rider who has ended a ride, under a key that says nothing about the person.",
        f"""
        SELECT k.rider_key, {
            ", ".join(f"coalesce(c.{word}, 'withheld') AS {word}" for word in WORDS)
        }
        FROM public.star_riders k LEFT JOIN public.star_cells c ON c.cell = k.cell
        """,  # noqa: S608
        {
            "rider_key": "A random number that stands for the rider, and for nobody else.",
            "gender": (
                "female, male, other or unknown. This and all below: withheld where fewer than "
                "ten riders would share what is told of this one."
            ),
            "born_in": "The ten years in which the rider was born.",
            "town": "The town of the rider's address.",
            "postcode_area": "The letters a British postcode begins with, such as EX for Exeter.",
            "joined_year": "The year in which the account was created.",
            "source": "How the rider came to us.",
        },
    ),
}
REPLACED = ("fact_rides", "fact_alerts", "dim_riders")


def upgrade() -> None:
    op.create_table(
        "star_cells",
        sa.Column("cell", sa.BigInteger(), autoincrement=False, nullable=False),
        *(sa.Column(word, sa.Text(), comment=_null(word)) for word in WORDS),
        sa.PrimaryKeyConstraint("cell", name=op.f("pk_star_cells")),
        comment="What analysts are told of ten riders or more, in the same words.",
    )
    op.add_column(
        "star_riders",
        sa.Column("cell", sa.BigInteger(), comment="what is told of the rider; NULL: nothing"),
    )
    op.create_foreign_key(
        op.f("fk_star_riders_cell"), "star_riders", "star_cells", ["cell"], ["cell"]
    )
    op.create_index("ix_star_riders_cell", "star_riders", ["cell"])
    op.add_column(
        "star_refreshes",
        sa.Column("cells_on", sa.Date(), comment="the company's day on which riders got cells"),
    )
    op.add_column(
        "star_refreshes",
        sa.Column("cells_rider_count", sa.Integer(), comment="how many there were by then"),
    )
    op.execute(WITHHOLD)
    op.execute("REVOKE EXECUTE ON FUNCTION withhold_small_cells() FROM PUBLIC")
    op.execute(
        "CREATE TRIGGER withhold_small_cells AFTER DELETE ON star_riders "
        "REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION withhold_small_cells()"
    )
    op.execute("GRANT SELECT, INSERT, DELETE ON star_cells TO star_refresher")
    op.execute("GRANT UPDATE (cell) ON star_riders TO star_refresher")
    op.execute("GRANT SELECT (town, postcode, original_source) ON riders TO star_refresher")
    kept = _meanings()
    for view in REPLACED:
        op.execute(f"DROP VIEW analytics.{view}")
    for view, (comment, query, meanings) in VIEWS.items():
        _make(view, comment, query, {**(kept if view == "fact_rides" else {}), **meanings})


def downgrade() -> None:
    for view in VIEWS:
        op.execute(f"DROP VIEW analytics.{view}")
    op.execute("REVOKE SELECT (town, postcode, original_source) ON riders FROM star_refresher")
    op.execute("REVOKE UPDATE (cell) ON star_riders FROM star_refresher")
    op.execute("DROP TRIGGER withhold_small_cells ON star_riders")
    op.execute("DROP FUNCTION withhold_small_cells()")
    op.drop_column("star_refreshes", "cells_rider_count")
    op.drop_column("star_refreshes", "cells_on")
    op.drop_column("star_riders", "cell")
    op.drop_table("star_cells")
    # After the columns are gone: one of the former views takes all that there are.
    for view in REPLACED:
        _make(view, *_former(view))


def _null(word: str) -> str | None:
    return "this and all below: NULL: withheld" if word == WORDS[0] else None


def _make(view: str, comment: str, query: str, meanings: dict[str, str]) -> None:
    op.execute(f"CREATE VIEW analytics.{view} AS {query}")
    op.execute(f"COMMENT ON VIEW analytics.{view} IS {_quoted(comment)}")
    columns = op.get_bind().scalars(
        sa.text(
            "SELECT attname FROM pg_attribute "
            "WHERE attrelid = CAST(:view AS regclass) AND attnum > 0"
        ),
        {"view": f"analytics.{view}"},
    )
    for column in columns.all():
        op.execute(f"COMMENT ON COLUMN analytics.{view}.{column} IS {_quoted(meanings[column])}")
    op.execute(f"GRANT SELECT ON analytics.{view} TO {ROLE}")


def _meanings() -> dict[str, str]:
    """What the columns of rides mean, as the view says until now."""
    query = (
        "SELECT attname, col_description(attrelid, attnum) AS meaning FROM pg_attribute "
        "WHERE attrelid = 'analytics.fact_rides'::regclass AND attnum > 0"
    )
    return {row.attname: row.meaning for row in op.get_bind().execute(sa.text(query))}


def _former(view: str) -> tuple[str, str, dict[str, str]]:
    """The comment, query and meanings of a view as the revisions before left it."""
    comment, query, meanings = _revision("0005").VIEWS[view]
    if view in _revision("0008").VIEWS:
        query, later = _revision("0008").VIEWS[view]
        meanings = {**meanings, **later}
    if view == "fact_rides":
        figures = _revision("0009").MEANINGS
        meanings = {
            **meanings,
            **{name: figures[name][0] for name in _revision("0009").FORMER_STAR},
        }
    if view == "fact_alerts":
        hidden = _revision("0027").FIRST_SANDBOX_RIDER_ID
        query = f"{_revision('0023').FACT_ALERTS} WHERE a.rider_id IS NULL OR a.rider_id < {hidden}"
        meanings = {**meanings, **_revision("0023").MEANINGS}
    return comment, query, meanings


def _revision(number: str) -> Any:  # noqa: ANN401
    return context.script.get_revision(number).module


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
