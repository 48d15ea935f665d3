"""CORE: the kept files as a Tableau site takes them: where the data are is told another way.

The data source is published live, its questions carried to the database, or with an extract beside
it. The workbook asks the published data source, whichever of the two that is, so that its sheets
need no way to the database and nobody keeps a second password.
"""

from typing import Final
from urllib.parse import urlsplit
from xml.etree.ElementTree import Element, SubElement, fromstring, indent, register_namespace

from msgspec import Struct

from deloton_tableau.columns import SOURCE_CAPTION, SOURCE_NAME
from deloton_tableau.documents import CONNECTION, Host, written
from deloton_tableau.star import SCHEMA
from deloton_tableau.worksheets import USER

register_namespace("user", USER)

# Where an extract lies in a packaged data source.
EXTRACT_PATH: Final = "Data/Extracts/deloton.hyper"
# What a published data source is to a workbook: one table, asked through the site.
PROXY: Final = "sqlproxy"
PROXY_NAME: Final = "sqlproxy.deloton"
EXTRACT_CONNECTION: Final = "hyper.deloton"
_PORTS: Final = {"https": 443, "http": 80}


class SiteSource(Struct, frozen=True):
    """A data source of a site: the site's address and name, and what the source is called there.

    The default site has no name. `content_url` is the site's own word for the source.
    """

    server: str
    site: str
    content_url: str


def live_source(tds: bytes, host: Host) -> bytes:
    """The data source with the database's address filled in."""
    root = fromstring(tds)  # noqa: S314  a file of our own
    named = _one(root, ".//named-connection")
    named.set("caption", host.name)
    told = {"server": host.name, "port": str(host.port), "dbname": host.database}
    _one(named, "connection").attrib.update(told)
    return written(root)


def extract_source(tds: bytes) -> bytes:
    """The data source whose rows lie in an extract beside it: at `EXTRACT_PATH` of one package."""
    text = tds.replace(CONNECTION.encode(), EXTRACT_CONNECTION.encode())
    root = fromstring(text)  # noqa: S314  a file of our own
    named = _one(root, ".//named-connection")
    named.set("caption", SOURCE_CAPTION)
    connection = _one(named, "connection")
    connection.attrib.clear()
    connection.attrib |= {
        "class": "hyper",
        "dbname": EXTRACT_PATH,
        "default-settings": "yes",
        "schema": SCHEMA,
        "sslmode": "",
        "username": "",
    }
    return written(root)


def site_workbook(twb: bytes, source: SiteSource) -> bytes:
    """The workbook whose sheets ask a data source that is published on the same site."""
    text = twb.replace(SOURCE_NAME.encode(), PROXY_NAME.encode())
    root = fromstring(text)  # noqa: S314  a file of our own
    own = _one(root, f"datasources/datasource[@name='{PROXY_NAME}']")
    # How the tables relate is the published source's business.
    own.remove(_one(own, "object-graph"))
    fields = own.findall("connection/metadata-records/metadata-record")
    own.remove(_one(own, "connection"))
    own.insert(0, _location(source))
    own.insert(1, _proxy(source, fields))
    indent(root)
    return written(root)


def _location(source: SiteSource) -> Element:
    site = {"path": f"/t/{source.site}/datasources", "site": source.site} if source.site else {}
    told = {"id": source.content_url, "path": "/datasources", "revision": "1.0"}
    return Element("repository-location", told | site)


def _proxy(source: SiteSource, fields: list[Element]) -> Element:
    address = urlsplit(source.server)
    connection = Element(
        "connection",
        {
            "channel": address.scheme,
            "class": PROXY,
            "dbname": source.content_url,
            "directory": "dataserver",
            "port": str(address.port or _PORTS[address.scheme]),
            "server": address.hostname or "",
            "server-ds-friendly-name": SOURCE_CAPTION,
            "username": "",
        },
    )
    SubElement(connection, "relation", name=PROXY, table=f"[{PROXY}]", type="table")
    records = SubElement(connection, "metadata-records")
    for field in fields:
        # The site knows a field by the name that it has in the source, not by its column's.
        name = _one(field, "local-name").text or ""
        _one(field, "remote-name").text = _one(field, "remote-alias").text = name.strip("[]")
        _one(field, "parent-name").text = f"[{PROXY}]"
        field.remove(_one(field, "object-id"))
        records.append(field)
    return connection


def _one(element: Element, path: str) -> Element:
    found = element.find(path)
    if found is None:
        raise LookupError(f"no {path} in <{element.tag}>")
    return found
