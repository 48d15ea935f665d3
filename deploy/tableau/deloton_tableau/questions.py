"""CORE: what Tableau asks the database for a sheet, for tests and benchmarks.

Written after queries that Tableau is known to send: it groups by the numbers of the columns, and
a filter on an aggregate comes as HAVING. A sheet of one table needs no join, so that nothing
has to be guessed of how Tableau relates tables.
"""

from typing import Final

from deloton_tableau.sheets import FEWEST_RIDERS, Pill, Sheet
from deloton_tableau.star import SCHEMA

_AGGREGATES: Final = {
    "None": "{}",
    "Sum": "SUM({})",
    "Avg": "AVG({})",
    "Count": "COUNT({})",
    "CountD": "COUNT(DISTINCT {})",
}


def question_of(sheet: Sheet) -> str:
    """The sheet's query."""
    pills = sorted(sheet.pills, key=lambda pill: pill.field)
    groups = [number for number, pill in enumerate(pills, 1) if pill.derivation == "None"]
    view = sheet.view
    parts = [
        f"SELECT {', '.join(_selected(pill) for pill in pills)}",
        f'FROM "{SCHEMA}"."{view}" "{view}"',
        f"GROUP BY {', '.join(map(str, groups))}",
    ]
    if sheet.guard:
        riders = _selected(Pill(view, "rider_key", "CountD"))
        parts.append(f"HAVING ({riders} >= {FEWEST_RIDERS.value})")
    return " ".join(parts)


def _selected(pill: Pill) -> str:
    return _AGGREGATES[pill.derivation].format(f'"{pill.view}"."{pill.column}"')
