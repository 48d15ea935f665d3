"""Publishing, with the real client, to a double of the site's REST interface."""

from pathlib import Path

import pytest
from lxml import etree

from deloton_tableau.__main__ import FOLDER, publish_files
from deloton_tableau.publishing import PublishError, TableauSettings
from tests.integration.tableau.rest_double import Site, tableau_site

HOST = "aurora.deloton.internal"


def publish_to(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = {
        "TABLEAU_SERVER": site.url,
        "TABLEAU_SITE": "deloton",
        "TABLEAU_TOKEN_NAME": "publisher",
        "TABLEAU_TOKEN_SECRET": "t0ken",
        "TABLEAU_DATABASE_HOST": HOST,
        "TABLEAU_DATABASE_PORT": "6543",
        "TABLEAU_READER_PASSWORD": "s3cret",
    }
    for name, value in chosen.items():
        monkeypatch.setenv(name, value)
    publish_files()


def test_both_files_are_published_over_what_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    with tableau_site() as site:
        publish_to(site, monkeypatch)
    for kind, ending in (("datasources", "tds"), ("workbooks", "twb")):
        [body] = site.bodies("POST", f"sites/s1/{kind}")
        assert "overwrite=true" in body
        assert f"Type={ending}" in body
        assert "aurora.example.com" not in body
        assert len(site.bodies("PUT", f"sites/s1/{kind}/.1/tags")) == 1


def test_the_data_source_alone_knows_the_database_and_its_password(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with tableau_site() as site:
        publish_to(site, monkeypatch)
    [source] = site.bodies("POST", "sites/s1/datasources")
    assert 'name="tableau_reader"' in source
    assert 'password="s3cret"' in source
    assert 'embed="true"' in source
    assert f'server="{HOST}" port="6543"' in source
    assert 'sslmode="require"' in source
    [workbook] = site.bodies("POST", "sites/s1/workbooks")
    for word in ("s3cret", "tableau_reader", HOST, "postgres"):
        assert word not in workbook


def test_the_workbook_asks_the_published_data_source_by_the_sites_own_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with tableau_site() as site:
        publish_to(site, monkeypatch)
    [body] = site.bodies("POST", "sites/s1/workbooks")
    text = body[body.rindex("<?xml") : body.rindex("</workbook>") + len("</workbook>")]
    source = etree.fromstring(text.encode()).find("datasources/datasource[@caption='Deloton']")
    location = source.find("repository-location")
    assert (location.get("id"), location.get("path")) == ("Deloton_17", "/t/deloton/datasources")
    connection = source.find("connection")
    assert (connection.get("class"), connection.get("dbname")) == ("sqlproxy", "Deloton_17")
    assert site.url == f"{connection.get('channel')}://{connection.get('server')}:" + str(
        connection.get("port")
    )


def test_a_new_project_is_closed_to_all_but_the_group(monkeypatch: pytest.MonkeyPatch) -> None:
    with tableau_site() as site:
        publish_to(site, monkeypatch)
    [made] = site.bodies("POST", "sites/s1/projects")
    assert 'contentPermissions="LockedToProject"' in made
    taken = [each.path for each in site.requests if each.method == "DELETE"]
    rights = "sites/s1/projects/p1"
    assert taken == [
        f"{rights}/permissions/groups/g0/Read/Allow",
        f"{rights}/default-permissions/workbooks/groups/g0/Read/Allow",
        f"{rights}/default-permissions/datasources/groups/g0/Read/Allow",
    ]
    for kind in ("workbooks", "datasources"):
        [given] = site.bodies("PUT", f"{rights}/default-permissions/{kind}")
        assert 'id="g1"' in given
        # Nor what shows or takes away single rows, which here are single people.
        for right in ("ExportData", "ViewUnderlyingData", "RunExplainData", "ExportXml"):
            assert f'name="{right}"' not in given


def test_publishing_again_keeps_what_others_may(monkeypatch: pytest.MonkeyPatch) -> None:
    with tableau_site(project_exists=True) as site:
        publish_to(site, monkeypatch)
        publish_to(site, monkeypatch)
    assert site.bodies("POST", "sites/s1/projects") == []
    assert [each for each in site.requests if each.method == "DELETE"] == []
    assert len(site.bodies("POST", "sites/s1/workbooks")) == 2


def test_the_token_opens_a_session_which_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    with tableau_site() as site:
        publish_to(site, monkeypatch)
    [signed_in] = site.bodies("POST", "auth/signin")
    assert 'personalAccessTokenName="publisher"' in signed_in
    assert 'contentUrl="deloton"' in signed_in
    assert (site.requests[-1].path, site.requests[-1].token) == ("auth/signout", "t1")


def test_without_the_group_nothing_is_published(monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        tableau_site(groups=("All Users",)) as site,
        pytest.raises(PublishError, match="no group called Analysts"),
    ):
        publish_to(site, monkeypatch)
    assert site.bodies("POST", "sites/s1/(projects|workbooks|datasources)") == []


def test_the_kept_files_hold_no_password_and_no_host_of_ours() -> None:
    for name in ("deloton.tds", "deloton.twb"):
        text = (FOLDER / name).read_text()
        connection = etree.fromstring(text.encode()).find(".//connection[@class='postgres']")
        assert connection is not None
        assert connection.get("server") == "aurora.example.com"
        assert connection.get("password") is None


def test_secrets_are_not_shown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with tableau_site() as site:
        publish_to(site, monkeypatch)
    shown = repr(TableauSettings.from_environment())
    assert "s3cret" not in shown
    assert "t0ken" not in shown
