"""CORE: the data source (`.tds`) and the workbook (`.twb`), written from the star's catalogue.

A live connection with relationships: Tableau asks only the tables that a sheet uses. Neither file
holds a password; the host is the one given.
"""

from collections.abc import Sequence
from typing import Final
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from msgspec import Struct

from deloton_tableau.columns import (
    SOURCE_CAPTION,
    SOURCE_NAME,
    add_column,
    add_parameter,
    add_parameter_dependency,
)
from deloton_tableau.fields import TABLES, TYPES, Field, field_of, name_in_source
from deloton_tableau.sheets import GUARDED_VIEWS, PARAMETERS, SHEETS, guard_field
from deloton_tableau.star import SCHEMA, StarView
from deloton_tableau.worksheets import add_window, add_worksheet

VERSION: Final = "18.1"
SOURCE_BUILD: Final = "2026.2.0 (20262.26.0528.2205)"
CONNECTION: Final = "postgres.deloton"
PLACEHOLDER_HOST: Final = "aurora.example.com"

# What the files make use of, in Tableau's words: it refuses elements whose feature is not named.
FEATURES: Final = (
    "ObjectModelEncapsulateLegacy",
    "ObjectModelTableType",
    "SchemaViewerObjectModel",
    "SheetIdentifierTracking",
    "SortTagCleanup",
    "WindowsPersistSimpleIdentifiers",
)

# Many to one: table, key, table, key.
RELATIONSHIPS: Final = (
    ("fact_rides", "rider_key", "dim_riders", "rider_key"),
    ("fact_rides", "started_on", "dim_dates", "date"),
    ("fact_reading_minutes", "ride_id", "fact_rides", "ride_id"),
    ("fact_retention", "ridden_month", "dim_dates", "date"),
    ("fact_alerts", "measured_week", "dim_dates", "date"),
)


class Host(Struct, frozen=True):
    """Where Tableau finds the database."""

    name: str = PLACEHOLDER_HOST
    port: int = 5432
    database: str = "deloton"


def data_source(star: Sequence[StarView], host: Host) -> bytes:
    """The `.tds`."""
    root = Element("datasource")
    root.set("formatted-name", SOURCE_NAME)
    _fill_source(root, star, host)
    return written(root)


def workbook(star: Sequence[StarView], host: Host) -> bytes:
    """The `.twb`, with the data source in it and a sheet a question."""
    made = {"original-version": VERSION, "source-build": SOURCE_BUILD, "version": VERSION}
    root = Element("workbook", made)
    _features(root)
    sources = SubElement(root, "datasources")
    _parameters(sources)
    source = SubElement(sources, "datasource", name=SOURCE_NAME, caption=SOURCE_CAPTION)
    _fill_source(source, star, host)
    fields = {field.name: field for field in fields_of(star)}
    worksheets = SubElement(root, "worksheets")
    windows = SubElement(root, "windows")
    for sheet in SHEETS:
        add_worksheet(worksheets, sheet, fields)
        add_window(windows, sheet)
    return written(root)


def fields_of(star: Sequence[StarView]) -> list[Field]:
    """Every column of the star as a field, and a table's calculated ones after its own."""
    return [field for view in star for field in _fields_of_view(view)]


def _fields_of_view(view: StarView) -> list[Field]:
    guards = [guard_field(view.name)] if view.name in GUARDED_VIEWS else []
    return [*(field_of(view, column) for column in view.columns), *guards]


def _features(parent: Element) -> None:
    manifest = SubElement(parent, "document-format-change-manifest")
    for name in FEATURES:
        SubElement(manifest, name)


def _parameters(sources: Element) -> None:
    kind = {"hasconnection": "false", "inline": "true", "version": VERSION}
    parameters = SubElement(sources, "datasource", name=PARAMETERS, attrib=kind)
    SubElement(parameters, "aliases", enabled="yes")
    add_parameter(parameters)


def _fill_source(source: Element, star: Sequence[StarView], host: Host) -> None:
    source.set("inline", "true")
    source.set("version", VERSION)
    if source.get("formatted-name"):
        _features(source)
    # Left out: what relates to nothing.
    views = [view for view in star if view.name in _related()]
    _connection(source, views, host)
    SubElement(source, "aliases", enabled="yes")
    for field in fields_of(views):
        add_column(source, field)
    folders = SubElement(source, "folders-common")
    for view in views:
        folder = SubElement(folders, "folder", name=TABLES[view.name])
        for field in _fields_of_view(view):
            SubElement(folder, "folder-item", name=f"[{field.name}]", type="field")
    SubElement(source, "date-options", {"start-of-week": "monday"})
    add_parameter_dependency(source)
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


def written(root: Element) -> bytes:
    """A document as it is kept and published."""
    indent(root)
    body: bytes = tostring(root, encoding="utf-8", xml_declaration=True)
    return body + b"\n"
