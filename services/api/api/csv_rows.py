"""CORE: answers as CSV (RFC 4180): a column a field, nested fields joined by an underscore.

A text that a spreadsheet would take for a formula gets an apostrophe before it.
"""

import csv
import io
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from pydantic import BaseModel

from deloton.csv_cells import harmless

MEDIA_TYPE = "text/csv"


def columns_of(model: type[BaseModel], *, personal: bool) -> list[str]:
    """The columns of a model, in its order; those of the rider, flattened."""
    columns = []
    for name in model.model_fields:
        if name == "rider":
            columns += ["rider_id", "rider_gender", "rider_age_years"]
            columns += ["rider_name"] if personal else []
        else:
            columns.append(name)
    return columns


def header(columns: Iterable[str]) -> str:
    """The first line."""
    return _line(columns)


def lines(rows: Iterable[BaseModel], columns: list[str]) -> str:
    """A line a row; what is not known is empty."""
    return "".join(_line(_cells(row, columns)) for row in rows)


def _cells(row: BaseModel, columns: list[str]) -> Iterator[object]:
    facts = dict(_flattened(row))
    return (_text(facts.get(column)) for column in columns)


def _flattened(row: BaseModel) -> Iterator[tuple[str, Any]]:
    for name, value in row:
        if name == "rider":
            for inner, fact in value or ():
                yield (inner if inner == "rider_id" else f"rider_{inner}"), fact
        else:
            yield name, value


def _text(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    return "" if value is None else harmless(value)


def _line(cells: Iterable[object]) -> str:
    out = io.StringIO()
    csv.writer(out).writerow(cells)
    return out.getvalue()
