"""A Tableau site as far as publishing asks: answers by HTTP, and records what it was asked."""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

NAMESPACE = "http://tableau.com/api"


@dataclass
class Asked:
    """One request: method, path without the API's version, body, and the body as it came."""

    method: str
    path: str
    body: str
    token: str | None
    raw: bytes


@dataclass
class Site:
    """What the site holds. `everybody` has rights wherever a project is made."""

    groups: tuple[str, ...] = ("All Users", "Analysts")
    project_exists: bool = False
    workbook_exists: bool = False
    requests: list[Asked] = field(default_factory=list)
    url: str = ""

    def bodies(self, method: str, path: str) -> list[str]:
        """The bodies of all requests to a path (a regular expression)."""
        return [
            each.body
            for each in self.requests
            if each.method == method and re.fullmatch(path, each.path)
        ]

    def answer(self, asked: Asked) -> str:
        """The body of the answer."""
        return next(
            text.format(
                groups=self._groups(),
                projects=self._projects(),
                workbooks=_WORKBOOK if self.workbook_exists else "",
            )
            for pattern, text in _ANSWERS
            if re.fullmatch(pattern, f"{asked.method} {asked.path}")
        )

    def _groups(self) -> str:
        return "".join(
            f'<group id="g{number}" name="{name}"><domain name="local"/></group>'
            for number, name in enumerate(self.groups)
        )

    def _projects(self) -> str:
        told = '<project id="p0" name="default" description=""/>'
        return told + (_PROJECT if self.project_exists else "")


_PROJECT = '<project id="p1" name="Deloton" contentPermissions="LockedToProject"/>'
_PAGE = '<pagination pageNumber="1" pageSize="100" totalAvailable="2"/>'
_RIGHTS = (
    '<permissions><granteeCapabilities><group id="g0"/><capabilities>'
    '<capability name="Read" mode="Allow"/></capabilities></granteeCapabilities></permissions>'
)
# Another project had a source of our name before: the site calls ours otherwise.
_ITEM = 'id="{0}1" name="Deloton" contentUrl="Deloton_17"'
_WORKBOOK = f'<workbook {_ITEM.format("w")}><project id="p1"/></workbook>'
_ANSWERS = (
    (
        r"GET serverInfo",
        (
            "<serverInfo><productVersion build='1'>2026.2</productVersion>"
            "<restApiVersion>3.29</restApiVersion></serverInfo>"
        ),
    ),
    (
        r"POST auth/signin",
        '<credentials token="t1"><site id="s1" contentUrl="x"/><user id="u1"/></credentials>',
    ),
    (r"POST auth/signout", ""),
    (r"GET sites/s1/groups", _PAGE + "<groups>{groups}</groups>"),
    (r"GET sites/s1/projects", _PAGE + "<projects>{projects}</projects>"),
    (r"POST sites/s1/projects", _PROJECT),
    (r"(GET|PUT) sites/s1/projects/p1/(default-)?permissions.*", _RIGHTS),
    (r"DELETE sites/s1/projects/p1/(default-)?permissions/.*", ""),
    (
        r"POST sites/s1/datasources",
        f'<datasource {_ITEM.format("d")} type="postgres"><project id="p1"/></datasource>',
    ),
    (r"POST sites/s1/workbooks", _WORKBOOK),
    (r"GET sites/s1/workbooks", _PAGE + "<workbooks>{workbooks}</workbooks>"),
    (r"PUT sites/s1/(datasources/d1|workbooks/w1)/tags", '<tags><tag label="rides"/></tags>'),
)


@contextmanager
def tableau_site(**what: Any) -> Iterator[Site]:  # noqa: ANN401  fields of `Site`
    """Serve a site on a free port."""
    site = Site(**what)

    class Handler(BaseHTTPRequestHandler):
        def _serve(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            path, _, query = self.path.partition("?")
            _, _, rest = path.removeprefix("/api/").partition("/")
            raw = self.rfile.read(length)
            body = f"{query}\n{raw.decode(errors='replace')}"
            asked = Asked(self.command, rest, body, self.headers["X-Tableau-Auth"], raw)
            site.requests.append(asked)
            answer = f'<tsResponse xmlns="{NAMESPACE}">{site.answer(asked)}</tsResponse>'.encode()
            self.send_response(204 if asked.method == "DELETE" else 200)
            self.send_header("Content-Type", "application/xml")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            if asked.method != "DELETE":
                self.wfile.write(answer)

        do_GET = do_POST = do_PUT = do_DELETE = _serve  # noqa: N815

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    site.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
