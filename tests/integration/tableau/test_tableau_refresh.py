"""The scheduled task: an extract of the star, published to a double of a site."""

import asyncio
import io
import json
from pathlib import Path
from zipfile import ZipFile

import pytest
from lxml import etree

from deloton.store.database import connect_pool
from deloton.store.star import refresh
from deloton_tableau.__main__ import publish_fresh_extract
from deloton_tableau.published_forms import EXTRACT_PATH
from deloton_tableau.publishing import PublishError
from tests.integration.tableau.rest_double import Site, tableau_site
from tests.integration.tableau.test_tableau_extract import read_back

_A_RIDER = "INSERT INTO riders (rider_id, gender, seen_at) VALUES (7001, 'female', now())"
_A_RIDE = """
INSERT INTO rides (rider_id, bike_serial, started_at, ended_at, end_reason, duration_s,
                   reading_count, heart_rate_count, mean_power_watts, energy_kj)
VALUES (7001, 'SN1', now() - interval '1 h', now(), 'silence', 3600, 3600, 3600, 100, 360)
"""


@pytest.fixture
def environment(database_url: str, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    chosen = {
        "DATABASE_URL": database_url,
        "TABLEAU_SITE": "deloton",
        "TABLEAU_TOKEN_NAME": "publisher",
        "TABLEAU_TOKEN_SECRET": "t0ken",
        "CLOUDWATCH_NAMESPACE": "Deloton/test",
    }
    for name, value in chosen.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def refresh_to(site: Site, environment: pytest.MonkeyPatch) -> None:
    environment.setenv("TABLEAU_SERVER", site.url)
    publish_fresh_extract()


def package_of(site: Site) -> ZipFile:
    """The packaged data source that was published last."""
    sent = [each.raw for each in site.requests if each.path == "sites/s1/datasources"][-1]
    return ZipFile(io.BytesIO(sent[sent.index(b"PK\x03\x04") :]))


def question_of_all(source: etree._Element, relation: etree._Element) -> str:
    """Every column that the source knows of a table, as it says that the extract calls them."""
    mapped = [each.get("value") for each in source.findall("connection/cols/map")]
    prefix = f"[{relation.get('name')}].["
    names = [each.removeprefix(prefix)[:-1] for each in mapped if each.startswith(prefix)]
    table = relation.get("table").replace("[", '"').replace("]", '"')
    columns = ", ".join(f'"{name}"' for name in names)
    return f"SELECT {columns} FROM {table}"


async def fill(database_url: str) -> None:
    """A star with one ride."""
    pool = await connect_pool(database_url, size=1, application="test")
    for statement in ("INSERT INTO bikes VALUES ('SN1')", _A_RIDER, _A_RIDE):
        await pool.execute(statement)
    await refresh(pool, "Europe/London")
    await pool.close()


def test_what_is_published_holds_the_star_and_needs_no_database(
    environment: pytest.MonkeyPatch,
    database_url: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    asyncio.run(fill(database_url))
    with tableau_site() as site:
        refresh_to(site, environment)
    package = package_of(site)
    assert sorted(package.namelist()) == [EXTRACT_PATH, "deloton.tds"]
    source = etree.fromstring(package.read("deloton.tds"))
    [connection] = source.findall("connection/named-connections/named-connection/connection")
    assert (connection.get("class"), connection.get("dbname")) == ("hyper", EXTRACT_PATH)
    extract = package.extract(EXTRACT_PATH, tmp_path)
    counts = {
        each.get("name"): len(read_back(Path(extract), question_of_all(source, each)))
        for each in source.findall("connection/relation/relation")
    }
    assert counts.pop("dim_dates") >= 1
    assert counts == dict.fromkeys(("fact_rides", "dim_riders"), 1) | {
        "fact_reading_minutes": 0,
        "fact_retention": 0,
        "fact_alerts": 0,
    }
    [body] = site.bodies("POST", "sites/s1/datasources")
    assert "overwrite=true" in body
    assert "password" not in body
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [each["Extracts"] for each in told if "_aws" in each] == [1]


def test_the_workbook_comes_once_and_what_people_made_of_it_stays(
    environment: pytest.MonkeyPatch,
) -> None:
    with tableau_site() as site:
        refresh_to(site, environment)
        site.workbook_exists = site.project_exists = True
        refresh_to(site, environment)
    assert len(site.bodies("POST", "sites/s1/datasources")) == 2
    assert len(site.bodies("POST", "sites/s1/workbooks")) == 1


def test_a_site_that_refuses_tells_nobody_that_it_was_done(
    environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with (
        tableau_site(groups=("All Users",)) as site,
        pytest.raises(PublishError, match="no group called Analysts"),
    ):
        refresh_to(site, environment)
    assert "_aws" not in capsys.readouterr().out
    assert site.bodies("POST", "sites/s1/datasources") == []
