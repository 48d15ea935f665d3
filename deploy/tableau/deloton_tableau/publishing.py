"""EDGE: the data source and the workbook to Tableau Server or Cloud, by its REST interface."""

from pathlib import Path
from typing import Final

import tableauserverclient as tsc
from msgspec import Struct
from pydantic import SecretStr

from deloton.errors import DelotonError
from deloton.running.settings import Settings
from deloton_tableau.documents import Host

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


class TableauSettings(Settings):
    """Where to publish and as whom; `.env.example` says what each means."""

    tableau_server: str
    tableau_site: str = ""
    tableau_token_name: str
    tableau_token_secret: SecretStr
    tableau_project: str = "Deloton"
    tableau_group: str = "Analysts"
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


class Published(Struct, frozen=True):
    """What was published: its ids on the site, and whether the project is new."""

    project_id: str
    data_source_id: str
    workbook_id: str
    project_is_new: bool


def publish(settings: TableauSettings, source: Path, workbook: Path) -> Published:
    """Publish both files over what is there; safe to repeat.

    A new project is closed to all but the group; of one that exists, only the group's rights are
    set, and what its administrator gave others stays. Raises `PublishError` where the group is
    missing, and the library's own errors where the site refuses.
    """
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
        source_item = server.datasources.publish(
            tsc.DatasourceItem(project.id, name="Deloton"),
            source,
            tsc.Server.PublishMode.Overwrite,
            connections=[_connection(settings)],
        )
        server.datasources.add_tags(source_item, TAGS)
        workbook_item = server.workbooks.publish(
            tsc.WorkbookItem(project.id, name="Deloton", show_tabs=True),
            workbook,
            tsc.Server.PublishMode.Overwrite,
            connections=[_connection(settings)],
            as_job=False,
            skip_connection_check=False,
        )
        server.workbooks.add_tags(workbook_item, TAGS)
        return Published(
            str(project.id), str(source_item.id), str(workbook_item.id), project_is_new=is_new
        )


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
