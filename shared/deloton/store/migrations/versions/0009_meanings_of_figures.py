"""A figure of a ride is explained in the same words in the tables and in the star."""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

RIDES = "A ride: a rider, a bike, a start; and its figures, which are NULL until it ends."
FORMER_RIDES = "A ride: a rider, a bike, a start."

# figure: (what it means, what the column of rides said before).
MEANINGS: dict[str, tuple[str, str | None]] = {
    "reading_count": (
        "Readings that came; one stands for one second.",
        "this and all below: NULL until the ride ends",
    ),
    "duration_s": (
        "How long it took, in seconds, by the bike's own count.",
        "seconds, by the bike's own count",
    ),
    "mean_heart_rate_bpm": (
        "Mean heart rate in beats a minute, of readings that hold one.",
        "seconds without a heart rate left out",
    ),
    "max_heart_rate_bpm": ("Highest heart rate, in beats a minute.", None),
    "heart_rate_count": (
        "Readings with a heart rate: the hands were on the bar.",
        "readings that hold a heart rate",
    ),
    "mean_cadence_rpm": ("Mean cadence, in turns of the pedals a minute.", None),
    "max_cadence_rpm": ("Highest cadence, in turns of the pedals a minute.", None),
    "mean_power_watts": ("Mean power, in watts.", None),
    "max_power_watts": ("Highest power of a second, in watts.", None),
    "total_power_watts": (
        "The sum of all readings' watts: the company's own figure.",
        "the sum of all readings' watts",
    ),
    "energy_kj": (
        "Energy put into the pedals, in kilojoules: a reading stands for one second.",
        "a reading stands for one second",
    ),
    "mean_resistance": ("Mean resistance: the bike's own level, without a unit.", None),
    "power_deviation_s": (
        (
            "The longest run of seconds whose power was more than 5 W beside what resistance and "
            "cadence give. From 30 s on the bike's power sensor is probably broken: leave the "
            "ride's power out. Not known of old rides."
        ),
        "longest run of seconds whose power is not what resistance and cadence give",
    ),
}

# What the star said before, where that differs.
FORMER_STAR = {
    "energy_kj": "Energy put into the pedals, in kilojoules.",
    "power_deviation_s": (
        "The longest run of seconds whose power was not what resistance and cadence give: "
        "with 30 and more, leave the ride's power out. Empty: not known."
    ),
}


def upgrade() -> None:
    _explain("TABLE rides", RIDES)
    for name, (meaning, _) in MEANINGS.items():
        _explain(f"COLUMN rides.{name}", meaning)
    for name in FORMER_STAR:
        _explain(f"COLUMN analytics.fact_rides.{name}", MEANINGS[name][0])


def downgrade() -> None:
    _explain("TABLE rides", FORMER_RIDES)
    for name, (_, former) in MEANINGS.items():
        _explain(f"COLUMN rides.{name}", former)
    for name, former in FORMER_STAR.items():
        _explain(f"COLUMN analytics.fact_rides.{name}", former)


def _explain(what: str, meaning: str | None) -> None:
    quoted = "NULL" if meaning is None else "'" + meaning.replace("'", "''") + "'"
    op.execute(f"COMMENT ON {what} IS {quoted}")
