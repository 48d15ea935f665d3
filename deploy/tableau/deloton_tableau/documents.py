"""CORE: the data source (`.tds`) and the workbook (`.twb`), written from the star's catalogue.

A live connection with relationships: Tableau asks only the tables that a sheet uses. Neither file
holds a password; the host is the one given.
"""

import uuid
from collections.abc import Sequence
from typing import Final
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from msgspec import Struct

from deloton_tableau.fields import TABLES, TYPES, Field, field_of, name_in_source
from deloton_tableau.star import SCHEMA, StarView

VERSION: Final = "18.1"
SOURCE_BUILD: Final = "2026.2.0 (20262.26.0528.2205)"
SOURCE_NAME: Final = "federated.deloton"
SOURCE_CAPTION: Final = "Deloton"
CONNECTION: Final = "postgres.deloton"
PLACEHOLDER_HOST: Final = "aurora.example.com"

# What the files make use of, in Tableau's words.
MANIFEST: Final = ("ObjectModelEncapsulateLegacy", "ObjectModelTableType")

# Many to one: table, key, table, key.
RELATIONSHIPS: Final = (
    ("fact_rides", "rider_key", "dim_riders", "rider_key"),
    ("fact_rides", "bike_serial", "dim_bikes", "bike_serial"),
    ("fact_rides", "started_on", "dim_dates", "date"),
    ("fact_reading_minutes", "ride_id", "fact_rides", "ride_id"),
    ("fact_alerts", "ride_id", "fact_rides", "ride_id"),
)


class Host(Struct, frozen=True):
    """Where Tableau finds the database."""

    name: str = PLACEHOLDER_HOST
    port: int = 5432
    database: str = "deloton"


class Pill(Struct, frozen=True):
    """A field on a shelf; derivation in Tableau's words: None, Sum, Avg, Count or CountD."""

    view: str
    column: str
    derivation: str = "None"

    @property
    def field(self) -> str:
        """The field's name in the source."""
        return name_in_source(self.view, self.column)


class Sheet(Struct, frozen=True):
    """A worksheet: a title, a mark, and which pills lie where."""

    title: str
    mark: str
    columns: tuple[Pill, ...]
    rows: tuple[Pill, ...]
    colour: Pill | None = None


RIDES = Pill("fact_rides", "ride_id", "Count")
SHEETS: Final = (
    Sheet(
        "Rides per day by gender",
        "Area",
        (Pill("fact_rides", "started_on"),),
        (RIDES,),
        Pill("dim_riders", "gender"),
    ),
    Sheet(
        "Power and heart rate by age band",
        "Bar",
        (Pill("dim_riders", "age_band"),),
        (
            Pill("fact_rides", "mean_power_watts", "Avg"),
            Pill("fact_rides", "mean_heart_rate_bpm", "Avg"),
        ),
    ),
    Sheet(
        "Rides by hour and weekday",
        "Square",
        (Pill("fact_rides", "started_hour"),),
        (Pill("dim_dates", "weekday"), Pill("dim_dates", "weekday_name")),
        RIDES,
    ),
    Sheet(
        "Retention by joining month",
        "Square",
        (Pill("dim_dates", "month_start"),),
        (Pill("dim_riders", "joined_month"),),
        Pill("fact_rides", "rider_key", "CountD"),
    ),
    Sheet(
        "Alerts per day",
        "Bar",
        (Pill("fact_alerts", "measured_on"),),
        (Pill("fact_alerts", "alert_id", "Count"),),
        Pill("fact_alerts", "level"),
    ),
    Sheet(
        "Leaders",
        "Bar",
        (Pill("fact_rides", "energy_kj", "Sum"),),
        (Pill("fact_rides", "rider_key"),),
    ),
)


def data_source(star: Sequence[StarView], host: Host) -> bytes:
    """The `.tds`."""
    root = Element("datasource")
    root.set("formatted-name", SOURCE_NAME)
    _fill_source(root, star, host)
    return _written(root)


def workbook(star: Sequence[StarView], host: Host) -> bytes:
    """The `.twb`, with the data source in it and a sheet a question."""
    root = Element("workbook", {"version": VERSION, "source-build": SOURCE_BUILD})
    _manifest(root)
    source = SubElement(SubElement(root, "datasources"), "datasource")
    source.set("name", SOURCE_NAME)
    source.set("caption", SOURCE_CAPTION)
    _fill_source(source, star, host)
    fields = {field.name: field for field in fields_of(star)}
    sheets = SubElement(root, "worksheets")
    for sheet in SHEETS:
        _worksheet(sheets, sheet, fields)
    windows = SubElement(root, "windows")
    for sheet in SHEETS:
        _window(windows, sheet)
    # Off: explanations show single rows that stand out, which here are single people.
    explain = {"enabled-for-viewer": "false", "extreme-values-enabled-for-all": "false"}
    SubElement(SubElement(root, "explain-data", explain), "explanation-types")
    return _written(root)


def fields_of(star: Sequence[StarView]) -> list[Field]:
    """Every column of the star as a field."""
    return [field_of(view, column) for view in star for column in view.columns]


def _manifest(parent: Element) -> None:
    manifest = SubElement(parent, "document-format-change-manifest")
    for name in MANIFEST:
        SubElement(manifest, name)


def _fill_source(source: Element, star: Sequence[StarView], host: Host) -> None:
    source.set("inline", "true")
    source.set("version", VERSION)
    if source.get("formatted-name"):
        _manifest(source)
    # How fresh the facts are stands in a table of its own that nothing relates to.
    views = [view for view in star if view.name in _related()]
    _connection(source, views, host)
    fields = fields_of(views)
    for field in fields:
        _column(source, field)
    folders = SubElement(source, "folders-common")
    for view in views:
        folder = SubElement(folders, "folder", name=TABLES[view.name])
        for column in view.columns:
            name = name_in_source(view.name, column.name)
            SubElement(folder, "folder-item", name=f"[{name}]", type="field")
    _object_graph(source, views)


def _related() -> set[str]:
    return {name for many, _, one, _ in RELATIONSHIPS for name in (many, one)}


def _connection(source: Element, views: Sequence[StarView], host: Host) -> None:
    federated = SubElement(source, "connection", {"class": "federated"})
    named = SubElement(
        SubElement(federated, "named-connections"),
        "named-connection",
        caption=host.name,
        name=CONNECTION,
    )
    SubElement(
        named,
        "connection",
        {
            "class": "postgres",
            "server": host.name,
            "port": str(host.port),
            "dbname": host.database,
            "username": "tableau_reader",
            "authentication": "username-password",
            "sslmode": "require",
        },
    )
    collection = SubElement(federated, "relation", type="collection")
    for view in views:
        _relation(collection, view.name)
    columns = SubElement(federated, "cols")
    for view in views:
        for column in view.columns:
            key = f"[{name_in_source(view.name, column.name)}]"
            SubElement(columns, "map", key=key, value=f"[{view.name}].[{column.name}]")
    records = SubElement(federated, "metadata-records")
    for view in views:
        for number, column in enumerate(view.columns, 1):
            record = SubElement(records, "metadata-record", {"class": "column"})
            datatype, code = TYPES[column.type]
            told = {
                "remote-name": column.name,
                "remote-type": str(code),
                "local-name": f"[{name_in_source(view.name, column.name)}]",
                "parent-name": f"[{view.name}]",
                "remote-alias": column.name,
                "ordinal": str(number),
                "local-type": datatype,
                "aggregation": field_of(view, column).aggregation,
                "contains-null": "true",
                "object-id": f"[{view.name}]",
            }
            for name, text in told.items():
                SubElement(record, name).text = text


def _relation(parent: Element, view: str) -> None:
    SubElement(
        parent,
        "relation",
        connection=CONNECTION,
        name=view,
        table=f"[{SCHEMA}].[{view}]",
        type="table",
    )


def _column(parent: Element, field: Field) -> None:
    column = SubElement(
        parent,
        "column",
        {
            "aggregation": field.aggregation,
            "caption": field.caption,
            "datatype": field.datatype,
            "name": f"[{field.name}]",
            "role": field.role,
            "type": field.type,
        },
    )
    if field.format:
        column.set("default-format", field.format)
    text = SubElement(SubElement(column, "desc"), "formatted-text")
    SubElement(text, "run").text = field.column.comment


def _object_graph(source: Element, views: Sequence[StarView]) -> None:
    graph = SubElement(source, "object-graph")
    objects = SubElement(graph, "objects")
    for view in views:
        each = SubElement(objects, "object", caption=TABLES[view.name], id=view.name)
        _relation(SubElement(each, "properties", context=""), view.name)
    relationships = SubElement(graph, "relationships")
    for many, foreign, one, key in RELATIONSHIPS:
        each = SubElement(relationships, "relationship")
        equal = SubElement(each, "expression", op="=")
        SubElement(equal, "expression", op=f"[{name_in_source(many, foreign)}]")
        SubElement(equal, "expression", op=f"[{name_in_source(one, key)}]")
        SubElement(each, "first-end-point", {"object-id": many})
        SubElement(each, "second-end-point", {"object-id": one, "unique-key": "true"})


def _worksheet(parent: Element, sheet: Sheet, fields: dict[str, Field]) -> None:
    worksheet = SubElement(parent, "worksheet", name=sheet.title)
    table = SubElement(worksheet, "table")
    view = SubElement(table, "view")
    SubElement(
        SubElement(view, "datasources"), "datasource", caption=SOURCE_CAPTION, name=SOURCE_NAME
    )
    used = SubElement(view, "datasource-dependencies", datasource=SOURCE_NAME)
    pills = list(dict.fromkeys([*sheet.columns, *sheet.rows, *filter(None, [sheet.colour])]))
    for pill in sorted(pills, key=lambda pill: pill.field):
        _column(used, fields[pill.field])
    for pill in sorted(pills, key=lambda pill: pill.field):
        SubElement(
            used,
            "column-instance",
            column=f"[{pill.field}]",
            derivation=pill.derivation,
            name=f"[{_instance(pill, fields)}]",
            pivot="key",
            type=_instance_type(pill, fields),
        )
    SubElement(view, "aggregation", value="true")
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


def _window(parent: Element, sheet: Sheet) -> None:
    window = SubElement(parent, "window", {"class": "worksheet", "name": sheet.title})
    cards = SubElement(window, "cards")
    left = SubElement(SubElement(cards, "edge", name="left"), "strip", size="160")
    for card in ("pages", "filters", "marks"):
        SubElement(left, "card", type=card)
    top = SubElement(cards, "edge", name="top")
    for card in ("columns", "rows", "title"):
        SubElement(SubElement(top, "strip", size="2147483647"), "card", type=card)
    SubElement(window, "simple-id", uuid=_stable_id("window", sheet))


def _shelf(pills: Sequence[Pill], fields: dict[str, Field]) -> str:
    measures = all(_is_continuous(pill) for pill in pills)
    joined = (" + " if measures else " / ").join(_on_shelf(pill, fields) for pill in pills)
    return f"({joined})" if len(pills) > 1 else joined


def _on_shelf(pill: Pill, fields: dict[str, Field]) -> str:
    return f"[{SOURCE_NAME}].[{_instance(pill, fields)}]"


def _instance(pill: Pill, fields: dict[str, Field]) -> str:
    short = {"None": "none", "Sum": "sum", "Avg": "avg", "Count": "cnt", "CountD": "ctd"}
    kind = {"quantitative": "qk", "ordinal": "ok", "nominal": "nk"}[_instance_type(pill, fields)]
    return f"{short[pill.derivation]}:{pill.field}:{kind}"


def _instance_type(pill: Pill, fields: dict[str, Field]) -> str:
    return "quantitative" if _is_continuous(pill) else fields[pill.field].type


def _is_continuous(pill: Pill) -> bool:
    """Aggregates and days in a row make axes; everything else makes headers."""
    return pill.derivation != "None" or pill.column in {"started_on", "measured_on"}


def _stable_id(kind: str, sheet: Sheet) -> str:
    told = str(uuid.uuid5(uuid.NAMESPACE_URL, f"deloton/{kind}/{sheet.title}"))
    return "{" + told.upper() + "}"


def _written(root: Element) -> bytes:
    indent(root)
    body: bytes = tostring(root, encoding="utf-8", xml_declaration=True)
    return body + b"\n"
