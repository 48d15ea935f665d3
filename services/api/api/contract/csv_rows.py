"""CORE: rows of lists as CSV (RFC 4180): a column a field, nested fields joined by an underscore.

A text that a spreadsheet would take for a formula gets an apostrophe before it.
"""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from deloton.showing.csv_cells import harmless

MEDIA_TYPE = "text/csv"

Row = Mapping[str, Any]


def columns_of(model: type[BaseModel], *, personal: bool) -> list[str]:
    """The columns of a model, in its order; those of the rider, flattened.

    Fields that may be left out are those that the scope `personal` opens.
    """
    columns = []
    for name, field in model.model_fields.items():
        if name == "rider":
            columns += ["rider_id", "rider_gender", "rider_age_years"]
            columns += ["rider_name"] if personal else []
        elif personal or field.is_required():
            columns.append(name)
    return columns


def header(columns: Iterable[str]) -> str:
    """The first line."""
    out = io.StringIO()
    csv.writer(out).writerow(columns)
    return out.getvalue()


def lines(rows: Iterable[Row], columns: Sequence[str]) -> str:
    """A line a row, which is a JSON object; what is not known is empty."""
    out = io.StringIO()
    csv.writer(out).writerows([_cells(row, columns) for row in rows])
    return out.getvalue()


def _cells(row: Row, columns: Sequence[str]) -> list[object]:
    flat = {**row, **_flattened(row.get("rider") or {})}
    return [harmless(flat.get(column)) for column in columns]


def _flattened(rider: Row) -> dict[str, object]:
    return {(name if name == "rider_id" else f"rider_{name}"): rider[name] for name in rider}
