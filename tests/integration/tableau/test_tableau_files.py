"""The kept files are those that the database's catalogue gives, and valid in Tableau's own eyes."""

import copy
import re
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio
from lxml import etree

from deloton.rules.figures import FIGURES
from deloton_tableau.__main__ import DOCUMENT, FOLDER
from deloton_tableau.catalogue import read_star
from deloton_tableau.dictionary import with_dictionary
from deloton_tableau.documents import RELATIONSHIPS, Host, data_source, fields_of, workbook
from deloton_tableau.fields import ALIASES, field_of
from deloton_tableau.published_forms import SiteSource, extract_source, site_workbook
from deloton_tableau.questions import question_of
from deloton_tableau.sheets import FEWEST_RIDERS, SHEETS, Sheet
from deloton_tableau.star import StarColumn, StarView

ROOT = Path(__file__).resolve().parents[3]
RIDES_OF_ONE = """
WITH made AS (
    INSERT INTO rides (bike_serial, started_at)
    SELECT 'SN1', timestamptz '2026-03-02 09:00Z' + ($1 * 2 + n) * interval '1 s'
    FROM generate_series(0, 1) n RETURNING ride_id, started_at
)
INSERT INTO star_rides (ride_id, rider_key, bike_serial, started_at, started_local_at, started_on,
                        started_hour, rider_gender)
SELECT ride_id, $1, 'SN1', started_at, '2026-03-02 09:00', '2026-03-02', 9, 'female' FROM made
"""
XS = "{http://www.w3.org/2001/XMLSchema}"


@pytest_asyncio.fixture
async def star(database_url: str) -> AsyncIterator[list[StarView]]:
    """The star of a migrated database."""
    connection = await asyncpg.connect(database_url)
    yield await read_star(connection)
    await connection.close()


@pytest.fixture(scope="session")
def schema(tmp_path_factory: pytest.TempPathFactory) -> etree.XMLSchema:
    """Tableau's published schema of workbooks, with stand-ins for the two that it imports."""
    tool = ROOT / "tools" / "fetch-tableau-schema"
    found = subprocess.run([tool], stdout=subprocess.PIPE, text=True, check=True)
    source = Path(found.stdout.strip()).read_text()
    document = etree.fromstring(source.encode())
    # Files of this version do not have it, and those that do are refused by Tableau before 2026.
    document.find(f".//{XS}element[@name='explain-data']").set("minOccurs", "0")
    folder = tmp_path_factory.mktemp("schema")
    for number, imported in enumerate(document.iter(f"{XS}import")):
        prefix = "user" if "tableau" in imported.get("namespace") else "xml"
        stand_in = folder / f"imported-{number}.xsd"
        stand_in.write_text(_stand_in(source, imported.get("namespace"), prefix))
        imported.set("schemaLocation", str(stand_in))
    whole = folder / "workbook.xsd"
    whole.write_bytes(etree.tostring(document))
    return etree.XMLSchema(etree.parse(whole))


def _stand_in(source: str, namespace: str, prefix: str) -> str:
    """A schema with the names that are used of it, which takes anything for them."""
    wanted = set(re.findall(rf'<xs:(attribute|attributeGroup) ref="{prefix}:([\w-]+)"', source))
    parts = "".join(
        f'<xs:attribute name="{name}" type="xs:string"/>'
        if kind == "attribute"
        else f'<xs:attributeGroup name="{name}"><xs:anyAttribute processContents="skip"/>'
        "</xs:attributeGroup>"
        for kind, name in sorted(wanted)
    )
    head = '<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" targetNamespace='
    return f'{head}"{namespace}">{parts}</xs:schema>'


async def test_the_kept_files_are_not_stale(star: list[StarView]) -> None:
    # When this fails: make tableau-files.
    assert (FOLDER / "deloton.tds").read_bytes() == data_source(star, Host())
    assert (FOLDER / "deloton.twb").read_bytes() == workbook(star, Host())


async def test_the_dictionary_is_not_stale(star: list[StarView]) -> None:
    # When this fails: make tableau-files.
    text = DOCUMENT.read_text()
    assert with_dictionary(text, star) == text


def test_the_workbook_is_valid_by_tableaus_own_schema(schema: etree.XMLSchema) -> None:
    schema.assertValid(etree.parse(FOLDER / "deloton.twb"))


def test_the_data_source_is_valid_as_one_of_a_workbook(schema: etree.XMLSchema) -> None:
    book = etree.parse(FOLDER / "deloton.twb")
    source = book.find("datasources/datasource[@caption='Deloton']")
    alone = copy.deepcopy(etree.parse(FOLDER / "deloton.tds").getroot())
    # In a workbook this stands above all data sources.
    alone.remove(alone.find("document-format-change-manifest"))
    source.getparent().replace(source, alone)
    schema.assertValid(book)


@pytest.mark.parametrize("site", ["", "deloton"])
def test_the_published_workbook_is_valid_too(schema: etree.XMLSchema, site: str) -> None:
    source = SiteSource("https://eu-west-1a.online.tableau.com", site, "Deloton_17")
    kept = (FOLDER / "deloton.twb").read_bytes()
    made = etree.fromstring(site_workbook(kept, source))
    schema.assertValid(made)
    assert b"postgres" not in etree.tostring(made)
    # Whatever a sheet or a formula asks for, the data source tells of.
    own = made.find("datasources/datasource[@caption='Deloton']")
    asked = "connection/metadata-records/metadata-record/local-name"
    columns = {
        each.get("name") for each in own.findall("column") if each.find("calculation") is None
    }
    assert columns == {each.text for each in own.findall(asked)}


def test_a_source_with_an_extract_is_valid_as_one_of_a_workbook(schema: etree.XMLSchema) -> None:
    book = etree.parse(FOLDER / "deloton.twb")
    source = book.find("datasources/datasource[@caption='Deloton']")
    alone = etree.fromstring(extract_source((FOLDER / "deloton.tds").read_bytes()))
    alone.remove(alone.find("document-format-change-manifest"))
    source.getparent().replace(source, alone)
    schema.assertValid(book)


def test_the_schema_refuses_what_tableau_would(schema: etree.XMLSchema) -> None:
    book = etree.parse(FOLDER / "deloton.twb")
    book.find(".//relationship/first-end-point").attrib.pop("object-id")
    assert not schema.validate(book)


@pytest.mark.parametrize(
    ("element", "feature"),
    [
        ("relation[@type='collection']", "ObjectModelEncapsulateLegacy"),
        ("object-graph", "ObjectModelTableType"),
        ("computed-sort", "SortTagCleanup"),
        ("worksheet/simple-id", "SheetIdentifierTracking"),
        ("window/simple-id", "WindowsPersistSimpleIdentifiers"),
    ],
)
def test_a_feature_is_named_by_whoever_uses_it(element: str, feature: str) -> None:
    # Tableau refuses a file with an element whose feature it does not name; the schema does not.
    book = etree.parse(FOLDER / "deloton.twb")
    assert book.find(f".//{element}") is not None
    assert book.find(f"document-format-change-manifest/{feature}") is not None


def test_whatever_lies_on_a_sheet_is_told_of_in_its_dependencies() -> None:
    book = etree.parse(FOLDER / "deloton.twb")
    for view in book.findall("worksheets/worksheet/table/view"):
        sheet = etree.tostring(view.getparent(), encoding="unicode")
        told = {each.get("name") for each in view.iter("column", "column-instance")}
        used = set(re.findall(r"\[federated\.deloton\]\.(\[[^]]+\])", sheet))
        used |= {each.get("column") for each in view.iter("column-instance")}
        used |= set(re.findall(r"COUNTD\((\[[^]]+\])\)", sheet))
        assert used <= told


def test_a_number_of_unknown_meaning_is_refused_and_becomes_no_dimension() -> None:
    column = StarColumn("stirring_s", "integer", "Nobody said how it adds up.")
    view = StarView("fact_rides", "", (column,))
    with pytest.raises(LookupError, match="stirring_s is a number that is neither"):
        field_of(view, column)


async def test_each_figure_is_a_measure_that_adds_up_as_it_is_declared_to(
    star: list[StarView],
) -> None:
    found = {field.column.name: field for field in fields_of(star) if field.view == "fact_rides"}
    for figure in FIGURES:
        if figure.in_star:
            field = found[figure.name]
            assert (field.role, field.caption) == ("measure", figure.titled)
            assert field.aggregation == {"sum": "Sum", "max": "Max", "mean": "Avg"}[figure.adds]


async def test_every_field_that_is_spoken_of_exists(star: list[StarView]) -> None:
    fields = {(field.view, field.column.name) for field in fields_of(star)}
    assert {(pill.view, pill.column) for sheet in SHEETS for pill in sheet.pills} <= fields
    for many, foreign, one, key in RELATIONSHIPS:
        assert {(many, foreign), (one, key)} <= fields
    assert {*ALIASES} <= {column for _, column in fields}


@pytest.mark.parametrize("sheet", SHEETS, ids=lambda sheet: sheet.title)
def test_a_sheet_shows_groups_of_enough_riders_or_is_named_as_one_of_single_riders(
    sheet: Sheet,
) -> None:
    book = etree.parse(FOLDER / "deloton.twb")
    view = book.find(f"worksheets/worksheet[@name='{sheet.title}']/table/view")
    kept = [
        (each.get("column"), each.find("groupfilter").get("member"))
        for each in view.findall("filter")
    ]
    instance = f"[federated.deloton].[usr:enough_riders ({sheet.view}):nk]"
    of_rides = sheet.view == "fact_rides" and sheet.title != "Leaders"
    assert kept == ([(instance, "true")] if of_rides else [])
    assert [each.text for each in view.findall("slices/column")] == [name for name, _ in kept]


@pytest.mark.parametrize("name", ["deloton.tds", "deloton.twb"])
def test_the_fewest_riders_are_ten_and_nobody_can_set_fewer(name: str) -> None:
    source = etree.parse(FOLDER / name)
    formulas = {
        each.getparent().get("caption"): each.get("formula")
        for each in source.findall(".//column/calculation")
    }
    assert formulas == {
        "Enough riders": "COUNTD([rider_key (fact_rides)]) >= [Parameters].[Parameter 1]",
        "Fewest riders": "10",
    }
    bounds = source.findall(".//column[@name='[Parameter 1]']/range")
    assert {(each.get("min"), each.get("granularity")) for each in bounds} == {("10", "1")}


def _asks_of_riders(sheet: Sheet) -> bool:
    """Whether a sheet tells of what riders' cells hold: that is one table for all rides."""
    return any(pill.column in {"rider_gender", "rider_born_in"} for pill in sheet.pills)


# The rest of a sheet must do without an index of its own: it is not many rows.
@pytest.mark.parametrize(
    "sheet",
    [sheet for sheet in SHEETS if sheet.guard and not _asks_of_riders(sheet)],
    ids=lambda sheet: sheet.title,
)
async def test_riders_are_counted_in_the_order_of_an_index(sheet: Sheet, database_url: str) -> None:
    connection = await asyncpg.connect(
        database_url, server_settings={"enable_seqscan": "off", "enable_bitmapscan": "off"}
    )
    plan = "\n".join(row[0] for row in await connection.fetch("EXPLAIN " + question_of(sheet)))
    await connection.close()
    assert "Index Only Scan" in plan
    assert "Sort" not in plan


async def test_a_mark_appears_with_its_tenth_rider(database_url: str) -> None:
    question = question_of(next(sheet for sheet in SHEETS if sheet.colour and sheet.guard))
    connection = await asyncpg.connect(database_url)
    await connection.execute("INSERT INTO bikes VALUES ('SN1')")
    for riders in range(1, FEWEST_RIDERS.value + 1):
        # Two rides each: it is riders that count.
        await connection.execute(RIDES_OF_ONE, riders)
        marks = await connection.fetch(question)
        assert len(marks) == (1 if riders >= FEWEST_RIDERS.value else 0)
    await connection.close()


def test_no_two_fields_have_the_same_caption() -> None:
    source = etree.parse(FOLDER / "deloton.tds")
    captions = [column.get("caption") for column in source.findall("column")]
    assert len(captions) == len(set(captions))


@pytest.mark.parametrize(
    ("caption", "shown"),
    [
        ("Year · Dates", "*0"),
        ("Rider key", "*0"),
        ("Joined month · Retention", "*mmm yyyy"),
        ("Mean power (W)", "n#,##0.0;-#,##0.0"),
        ("Contact share", "p0.0%"),
        ("Gender · Riders", None),
    ],
)
def test_fields_have_a_default_format(caption: str, shown: str | None) -> None:
    source = etree.parse(FOLDER / "deloton.tds")
    [column] = source.findall(f"column[@caption='{caption}']")
    assert column.get("default-format") == shown


def test_every_field_is_explained_and_lies_in_one_folder() -> None:
    source = etree.parse(FOLDER / "deloton.tds")
    columns = source.findall("column")
    assert all(column.findtext("desc/formatted-text/run") for column in columns)
    items = [item.get("name") for item in source.findall("folders-common/folder/folder-item")]
    assert sorted(items) == sorted(column.get("name") for column in columns)
