"""CORE: the sheets as the elements that Tableau draws them from."""

import uuid
from collections.abc import Mapping, Sequence
from typing import Final
from xml.etree.ElementTree import Element, SubElement, register_namespace

from deloton_tableau.columns import (
    SOURCE_CAPTION,
    SOURCE_NAME,
    add_column,
    add_parameter_dependency,
)
from deloton_tableau.fields import Field
from deloton_tableau.sheets import FEWEST_RIDERS, PARAMETERS, Pill, Sheet

USER: Final = "http://www.tableausoftware.com/xml/user"
register_namespace("user", USER)

_SHORT: Final = {
    "None": "none",
    "Sum": "sum",
    "Avg": "avg",
    "Count": "cnt",
    "CountD": "ctd",
    "User": "usr",
}
_KINDS: Final = {"quantitative": "qk", "ordinal": "ok", "nominal": "nk"}

# Dates that make an axis; other dates make headers.
_AXES: Final = {"started_on", "measured_week"}


def add_worksheet(parent: Element, sheet: Sheet, fields: Mapping[str, Field]) -> None:
    """A sheet: what it asks, what it leaves out, and how it is drawn."""
    worksheet = SubElement(parent, "worksheet", name=sheet.title)
    table = SubElement(worksheet, "table")
    _view(table, sheet, fields)
    SubElement(table, "style")
    pane = SubElement(SubElement(table, "panes"), "pane")
    SubElement(SubElement(pane, "view"), "breakdown", value="auto")
    SubElement(pane, "mark", {"class": sheet.mark})
    if sheet.colour:
        encodings = SubElement(pane, "encodings")
        SubElement(encodings, "color", column=_on_shelf(sheet.colour, fields))
    SubElement(table, "rows").text = _shelf(sheet.rows, fields)
    SubElement(table, "cols").text = _shelf(sheet.columns, fields)
    SubElement(worksheet, "simple-id", uuid=_stable_id("worksheet", sheet))


def add_window(parent: Element, sheet: Sheet) -> None:
    """The sheet's tab, with the parameter's control beside it."""
    window = SubElement(parent, "window", {"class": "worksheet", "name": sheet.title})
    cards = SubElement(window, "cards")
    left = SubElement(SubElement(cards, "edge", name="left"), "strip", size="160")
    for card in ("pages", "filters", "marks"):
        SubElement(left, "card", type=card)
    top = SubElement(cards, "edge", name="top")
    for card in ("columns", "rows", "title"):
        SubElement(SubElement(top, "strip", size="2147483647"), "card", type=card)
    if sheet.guard:
        right = SubElement(SubElement(cards, "edge", name="right"), "strip", size="160")
        parameter = f"[{PARAMETERS}].[{FEWEST_RIDERS.name}]"
        SubElement(right, "card", mode="slider", param=parameter, type="parameter")
    SubElement(window, "simple-id", uuid=_stable_id("window", sheet))


def _view(table: Element, sheet: Sheet, fields: Mapping[str, Field]) -> None:
    view = SubElement(table, "view")
    sources = SubElement(view, "datasources")
    # Tableau takes the first for the one that the sheet asks.
    SubElement(sources, "datasource", caption=SOURCE_CAPTION, name=SOURCE_NAME)
    if sheet.guard:
        SubElement(sources, "datasource", name=PARAMETERS)
        add_parameter_dependency(view)
    _dependencies(view, sheet, fields)
    if sheet.guard:
        _keep_true(view, sheet.guard, fields)
    elif sheet.shows_single_riders:
        [by], [measure] = sheet.rows, sheet.columns
        column, using = _on_shelf(by, fields), _on_shelf(measure, fields)
        SubElement(view, "computed-sort", column=column, direction="DESC", using=using)
    if sheet.guard:
        slices = SubElement(view, "slices")
        SubElement(slices, "column").text = _on_shelf(sheet.guard, fields)
    SubElement(view, "aggregation", value="true")


def _dependencies(view: Element, sheet: Sheet, fields: Mapping[str, Field]) -> None:
    used = SubElement(view, "datasource-dependencies", datasource=SOURCE_NAME)
    pills = sorted([*sheet.pills, *filter(None, [sheet.guard])], key=lambda pill: pill.field)
    names = {pill.field for pill in pills}
    # What a formula counts has to be told too.
    names |= {counted for name in names if (counted := fields[name].counts)}
    for name in sorted(names):
        add_column(used, fields[name])
    for pill in pills:
        SubElement(
            used,
            "column-instance",
            column=f"[{pill.field}]",
            derivation=pill.derivation,
            name=f"[{_instance(pill, fields)}]",
            pivot="key",
            type=_instance_type(pill, fields),
        )


def _keep_true(view: Element, pill: Pill, fields: Mapping[str, Field]) -> None:
    kept = SubElement(view, "filter", {"class": "categorical", "column": _on_shelf(pill, fields)})
    # Here, and only here, without the source's name.
    level = {"level": f"[{_instance(pill, fields)}]", "member": "true"}
    chosen = {f"{{{USER}}}ui-enumeration": "inclusive", f"{{{USER}}}ui-marker": "enumerate"}
    SubElement(kept, "groupfilter", {"function": "member", **level, **chosen})


def _shelf(pills: Sequence[Pill], fields: Mapping[str, Field]) -> str:
    measures = all(_is_continuous(pill) for pill in pills)
    joined = (" + " if measures else " / ").join(_on_shelf(pill, fields) for pill in pills)
    return f"({joined})" if len(pills) > 1 else joined


def _on_shelf(pill: Pill, fields: Mapping[str, Field]) -> str:
    return f"[{SOURCE_NAME}].[{_instance(pill, fields)}]"


def _instance(pill: Pill, fields: Mapping[str, Field]) -> str:
    return f"{_SHORT[pill.derivation]}:{pill.field}:{_KINDS[_instance_type(pill, fields)]}"


def _instance_type(pill: Pill, fields: Mapping[str, Field]) -> str:
    return "quantitative" if _is_continuous(pill) else fields[pill.field].type


def _is_continuous(pill: Pill) -> bool:
    """Aggregates and days in a row make axes; everything else makes headers."""
    return pill.derivation not in {"None", "User"} or pill.column in _AXES


def _stable_id(kind: str, sheet: Sheet) -> str:
    told = str(uuid.uuid5(uuid.NAMESPACE_URL, f"deloton/{kind}/{sheet.title}"))
    return "{" + told.upper() + "}"
