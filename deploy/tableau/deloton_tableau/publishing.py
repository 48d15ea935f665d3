"""EDGE: the data source and the workbook to Tableau Server or Cloud, by its REST interface."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final
from zipfile import ZIP_DEFLATED, ZipFile

import tableauserverclient as tsc
from msgspec import Struct
from pydantic import SecretStr

from deloton.errors import DelotonError
from deloton.running.settings import CloudWatchSettings, DatabaseSettings, Settings
from deloton_tableau.columns import SOURCE_CAPTION
from deloton_tableau.documents import Host
from deloton_tableau.published_forms import (
    EXTRACT_PATH,
    SiteSource,
    extract_source,
    live_source,
    site_workbook,
)

TAGS: Final = ("deloton", "rides")
MAY: Final = tsc.Permission.Mode.Allow

_LOOK = (tsc.Permission.Capability.Read, tsc.Permission.Capability.Filter)
# What the group may do with workbooks (view and explore) and with the data source.
WORKBOOK_RIGHTS: Final = (
    *_LOOK,
    tsc.Permission.Capability.ViewComments,
    tsc.Permission.Capability.AddComment,
    tsc.Permission.Capability.ShareView,
    tsc.Permission.Capability.WebAuthoring,
)
SOURCE_RIGHTS: Final = (tsc.Permission.Capability.Read, tsc.Permission.Capability.Connect)


class PublishError(DelotonError):
    """Something on the Tableau site has to be set right by its administrator first."""


class SiteSettings(Settings):
    """Where to publish and as whom; `.env.example` says what each means."""

    tableau_server: str
    tableau_site: str = ""
    tableau_token_name: str
    tableau_token_secret: SecretStr
    tableau_project: str = "Deloton"
    tableau_group: str = "Analysts"


class TableauSettings(SiteSettings):
    """The same, and how the site reaches the database by itself."""

    tableau_database_host: str
    tableau_database_port: int = 5432
    tableau_database_name: str = "deloton"
    tableau_reader_password: SecretStr

    @property
    def host(self) -> Host:
        """Where Tableau finds the database."""
        return Host(
            self.tableau_database_host, self.tableau_database_port, self.tableau_database_name
        )


class ExtractSettings(SiteSettings, DatabaseSettings, CloudWatchSettings):
    """The same, and where we find the database that an extract is taken from."""


class Published(Struct, frozen=True):
    """What was published: its ids on the site, and whether the project is new.

    The workbook's id is None where it was there and was left as it is.
    """

    project_id: str
    data_source_id: str
    workbook_id: str | None
    project_is_new: bool


def publish_live(settings: TableauSettings, files: Path) -> Published:
    """Publish data source and workbook of a folder over what is there; safe to repeat.

    The site asks the database by itself. A new project is closed to all but the group; of one that
    exists, only the group's rights are set, and what its administrator gave others stays. Raises
    `PublishError` where the group is missing, and the library's own errors where the site refuses.
    """
    with _own_project(settings) as (server, project, is_new), TemporaryDirectory() as folder:
        source = Path(folder) / "deloton.tds"
        source.write_bytes(live_source((files / source.name).read_bytes(), settings.host))
        item = _publish_source(server, project, source, [_connection(settings)])
        workbook = _publish_workbook(server, project, _workbook_file(settings, files, folder, item))
        return Published(str(project.id), str(item.id), str(workbook.id), project_is_new=is_new)


def publish_extract(settings: SiteSettings, files: Path, extract: Path) -> Published:
    """Publish the data source with an extract, over the one that is there; safe to repeat.

    The site never asks the database. The workbook is published where there is none: what people
    made of it stays. As for the rest, as `publish_live`.
    """
    with _own_project(settings) as (server, project, is_new), TemporaryDirectory() as folder:
        package = Path(folder) / "deloton.tdsx"
        with ZipFile(package, "w", ZIP_DEFLATED) as packed:
            packed.writestr("deloton.tds", extract_source((files / "deloton.tds").read_bytes()))
            packed.write(extract, EXTRACT_PATH)
        item = _publish_source(server, project, package, None)
        there = any(
            each.project_id == project.id for each in server.workbooks.filter(name=SOURCE_CAPTION)
        )
        if there:
            return Published(str(project.id), str(item.id), None, project_is_new=is_new)
        workbook = _publish_workbook(server, project, _workbook_file(settings, files, folder, item))
        return Published(str(project.id), str(item.id), str(workbook.id), project_is_new=is_new)


@contextmanager
def _own_project(settings: SiteSettings) -> Iterator[tuple[tsc.Server, tsc.ProjectItem, bool]]:
    """A session on the site, our project with the group's rights, and whether it is new."""
    server = tsc.Server(  # type: ignore[no-untyped-call]
        settings.tableau_server, use_server_version=True
    )
    token = tsc.PersonalAccessTokenAuth(
        settings.tableau_token_name,
        settings.tableau_token_secret.get_secret_value(),
        site_id=settings.tableau_site,
    )
    with server.auth.sign_in(token):
        group = _group(server, settings.tableau_group)
        project, is_new = _project(server, settings.tableau_project)
        _set_rights(server, project, group)
        yield server, project, is_new


def _publish_source(
    server: tsc.Server,
    project: tsc.ProjectItem,
    file: Path,
    connections: list[tsc.ConnectionItem] | None,
) -> tsc.DatasourceItem:
    item = server.datasources.publish(
        tsc.DatasourceItem(project.id, name=SOURCE_CAPTION),
        file,
        tsc.Server.PublishMode.Overwrite,
        connections=connections,
    )
    server.datasources.add_tags(item, TAGS)
    return item


def _workbook_file(
    settings: SiteSettings, files: Path, folder: str, source: tsc.DatasourceItem
) -> Path:
    site_source = SiteSource(
        settings.tableau_server, settings.tableau_site, source.content_url or SOURCE_CAPTION
    )
    file = Path(folder) / "deloton.twb"
    file.write_bytes(site_workbook((files / file.name).read_bytes(), site_source))
    return file


def _publish_workbook(server: tsc.Server, project: tsc.ProjectItem, file: Path) -> tsc.WorkbookItem:
    item = server.workbooks.publish(
        tsc.WorkbookItem(project.id, name=SOURCE_CAPTION, show_tabs=True),
        file,
        tsc.Server.PublishMode.Overwrite,
        connections=None,
        as_job=False,
        skip_connection_check=False,
    )
    server.workbooks.add_tags(item, TAGS)
    return item


def _connection(settings: TableauSettings) -> tsc.ConnectionItem:
    connection = tsc.ConnectionItem()  # type: ignore[no-untyped-call]
    connection.server_address = settings.tableau_database_host
    connection.server_port = str(settings.tableau_database_port)
    password = settings.tableau_reader_password.get_secret_value()
    connection.connection_credentials = tsc.ConnectionCredentials(  # type: ignore[no-untyped-call]
        "tableau_reader", password, embed=True
    )
    return connection


def _group(server: tsc.Server, name: str) -> tsc.GroupItem:
    for group in tsc.Pager(server.groups):
        if group.name == name:
            return group
    raise PublishError(f"the site has no group called {name}: make it, or set TABLEAU_GROUP")


def _project(server: tsc.Server, name: str) -> tuple[tsc.ProjectItem, bool]:
    for project in tsc.Pager(server.projects):
        if project.name == name and project.parent_id is None:
            return project, False
    locked = tsc.ProjectItem.ContentPermissions.LockedToProject
    project = server.projects.create(
        tsc.ProjectItem(name, "Rides, riders and alerts, without names.", locked)
    )
    # A new project begins with the rights of the site's default project: often everybody's.
    server.projects.populate_permissions(project)
    if project.permissions:
        server.projects.delete_permission(project, list(project.permissions))
    for rules, populate, forget in (
        (
            "default_workbook_permissions",
            server.projects.populate_workbook_default_permissions,
            server.projects.delete_workbook_default_permissions,
        ),
        (
            "default_datasource_permissions",
            server.projects.populate_datasource_default_permissions,
            server.projects.delete_datasource_default_permissions,
        ),
    ):
        populate(project)
        for rule in getattr(project, rules):
            forget(project, rule)
    return project, True


def _set_rights(server: tsc.Server, project: tsc.ProjectItem, group: tsc.GroupItem) -> None:
    projects = server.projects
    projects.update_permissions(project, [_rule(group, (tsc.Permission.Capability.Read,))])
    projects.update_workbook_default_permissions(project, [_rule(group, WORKBOOK_RIGHTS)])
    projects.update_datasource_default_permissions(project, [_rule(group, SOURCE_RIGHTS)])


def _rule(group: tsc.GroupItem, capabilities: tuple[str, ...]) -> tsc.PermissionsRule:
    return tsc.PermissionsRule(group.to_reference(), dict.fromkeys(capabilities, MAY))
