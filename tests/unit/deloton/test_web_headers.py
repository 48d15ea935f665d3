"""What browsers are told with every answer, by the real middleware before a small page."""

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from deloton.running.web_headers import SECURITY_HEADERS, SecurityHeaders


async def page(request: Request) -> Response:
    own = {"X-Frame-Options": "DENY"} if "strict" in request.query_params else {}
    return PlainTextResponse("the page", headers=own)


@pytest.fixture
def client() -> TestClient:
    return TestClient(
        Starlette(routes=[Route("/", page)], middleware=[Middleware(SecurityHeaders)])
    )


@pytest.mark.parametrize("path", ["/", "/nowhere"])
def test_every_answer_bears_them(client: TestClient, path: str) -> None:
    headers = client.get(path).headers
    assert all(headers[name.decode()] == value.decode() for name, value in SECURITY_HEADERS)


def test_an_answers_own_header_stays(client: TestClient) -> None:
    assert client.get("/?strict").headers.get_list("x-frame-options") == ["DENY"]


def test_who_came_by_tls_is_told_to_come_by_tls_again(client: TestClient) -> None:
    by_tls = client.get("/", headers={"X-Forwarded-Proto": "https"})
    assert "max-age" in by_tls.headers["strict-transport-security"]
    assert "strict-transport-security" not in client.get("/").headers
