"""Who is let through, by the real middleware before a small page and a WebSocket."""

import json
from base64 import urlsafe_b64encode

import pytest
from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

from dashboard.server import guards
from dashboard.settings import DashboardSettings
from deloton.errors import SettingsError

URL = SecretStr("postgresql://localhost/none")


async def page(_: Request) -> Response:
    return PlainTextResponse("the page")


async def stream(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_text("live")
    await websocket.close()


def client(settings: DashboardSettings) -> TestClient:
    routes = [Route("/", page), Route("/health", page), WebSocketRoute("/stream", stream)]
    return TestClient(Starlette(routes=routes, middleware=guards(settings)))


@pytest.fixture
def login() -> TestClient:
    return client(
        DashboardSettings(
            database_url=URL, dashboard_user="staff", dashboard_password=SecretStr("pä:ss")
        )
    )


@pytest.fixture
def behind_header() -> TestClient:
    return client(DashboardSettings(database_url=URL, dashboard_trusted_header="X-Who"))


def test_without_a_setting_everyone_is_let_through() -> None:
    assert client(DashboardSettings(database_url=URL)).get("/").text == "the page"


def test_a_stranger_is_asked_to_log_in_and_health_checks_are_not(login: TestClient) -> None:
    refused = login.get("/")
    assert refused.status_code == 401
    assert refused.headers["www-authenticate"].startswith("Basic")
    assert login.get("/health").status_code == 200


@pytest.mark.parametrize("header", ["Basic !!", "Basic c3RhZmY6d3Jvbmc=", "Bearer x", ""])
def test_a_wrong_password_opens_nothing(login: TestClient, header: str) -> None:
    assert login.get("/", headers={"Authorization": header}).status_code == 401


def test_the_password_opens_pages_and_its_cookie_the_stream(login: TestClient) -> None:
    with pytest.raises(WebSocketDisconnect), login.websocket_connect("/stream"):
        pass
    password = "Basic " + "c3RhZmY6cMOkOnNz"
    assert login.get("/", headers={"Authorization": password}).text == "the page"
    assert login.get("/").text == "the page"
    with login.websocket_connect("/stream") as websocket:
        assert websocket.receive_text() == "live"


def test_a_forged_cookie_opens_nothing(login: TestClient) -> None:
    forged = {"Cookie": "deloton_dashboard=in.aaaa.bbbb"}
    assert login.get("/", headers=forged).status_code == 401


def test_only_what_bears_the_trusted_header_is_let_through(behind_header: TestClient) -> None:
    assert behind_header.get("/").status_code == 401
    assert behind_header.get("/", headers={"X-Who": "someone"}).text == "the page"


def claims(told: object) -> dict[str, str]:
    """The headers that the load balancer sets for somebody of whom the provider tells that."""
    coded = urlsafe_b64encode(json.dumps(told).encode()).decode().rstrip("=")
    return {"X-Who": "someone", "x-amzn-oidc-data": f"e30.{coded}.c2lnbmVk"}


@pytest.mark.parametrize(
    ("required", "told", "status"),
    [
        ("groups=staff", {"groups": ["all", "staff"]}, 200),
        ("groups=staff", {"groups": "staff"}, 200),
        ("groups=staff", {"groups": ["staff-of-others"]}, 403),
        ("groups=staff", {"groups": None}, 403),
        ("groups=staff", {}, 403),
        ("groups=staff", ["groups", "staff"], 403),
        ("email=@deloton.example", {"email": "ada@deloton.example"}, 200),
        ("email=@deloton.example", {"email": "ada@deloton.example.org"}, 403),
        ("email=@deloton.example", {"email": "ada@notdeloton.example"}, 403),
        ("email=@deloton.example", {"email": 7}, 403),
    ],
)
def test_only_whose_claim_is_the_one_that_is_asked_for_is_let_through(
    required: str, told: object, status: int
) -> None:
    guarded = client(
        DashboardSettings(
            database_url=URL, dashboard_trusted_header="X-Who", dashboard_required_claim=required
        )
    )
    assert guarded.get("/", headers=claims(told)).status_code == status
    assert guarded.get("/", headers={"X-Who": "someone"}).status_code == 403
    no_token = {"X-Who": "someone", "x-amzn-oidc-data": "no.token"}
    assert guarded.get("/", headers=no_token).status_code == 403
    assert guarded.get("/health").status_code == 200


@pytest.mark.parametrize(
    "names",
    [
        {"DASHBOARD_USER": "staff"},
        {"DASHBOARD_PASSWORD": "secret"},
        {"DASHBOARD_REQUIRED_CLAIM": "staff"},
        {"DASHBOARD_USER": "a", "DASHBOARD_PASSWORD": "b", "DASHBOARD_TRUSTED_HEADER": "c"},
    ],
)
def test_half_a_login_and_two_ways_in_are_refused_at_the_start(
    names: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", URL.get_secret_value())
    for name, value in names.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError):
        DashboardSettings.from_environment()
