"""A typed client, generated from the committed document, walks through the whole API."""

import importlib
import json
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import fitdecode
import pytest

from api.access.credentials import Scope
from tests.integration.api.served import Served

REPOSITORY = Path(__file__).parents[3]
NAME = "generated_client"
DOCUMENT = json.loads((REPOSITORY / "services" / "api" / "openapi.json").read_text())
OPERATIONS: dict[str, dict[str, Any]] = {
    operation["operationId"]: operation
    for operations in DOCUMENT["paths"].values()
    for operation in operations.values()
}
Ask = Callable[..., Awaitable[Any]]


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder with the generated package, which can be imported for as long as this lasts."""
    folder = tmp_path_factory.mktemp("client")
    made = subprocess.run(
        [REPOSITORY / "tools" / "make-client", folder / NAME],
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stdout + made.stderr
    sys.path.insert(0, str(folder))
    yield folder
    sys.path.remove(str(folder))
    for module in [name for name in sys.modules if name.split(".")[0] == NAME]:
        del sys.modules[module]


def part(name: str) -> Any:  # noqa: ANN401  a module that is made above
    """A module of the generated package."""
    return importlib.import_module(f"{NAME}.{name}")


async def client_of(served: Served, *scopes: Scope) -> Ask:
    """What asks with a new key, through the generated client."""
    return partial(ask, served.url, await served.make_key(*scopes))


async def ask(url: str, key: str, name: str, *values: object, **parameters: object) -> Any:  # noqa: ANN401  of a generated type
    """What an operation answers, as the client's own type."""
    module = part(f"api.{OPERATIONS[name]['tags'][0]}.{name}")
    client = part("client").AuthenticatedClient(
        base_url=url, token=key, timeout=60, raise_on_unexpected_status=True
    )
    async with client:
        return (await module.asyncio_detailed(*values, client=client, **parameters)).parsed


def unknown_to(told: object) -> list[str]:
    """The fields that an answer holds and its type does not know, at any depth."""
    found = list(getattr(told, "additional_properties", ()))
    for field in getattr(type(told), "__attrs_attrs__", ()):
        value = getattr(told, field.name)
        for each in value if isinstance(value, list) else [value]:
            found += unknown_to(each)
    return found


@pytest.mark.parametrize("name", sorted(OPERATIONS.keys() - {"stream_live"}))
async def test_each_operation_answers_what_its_type_says(
    fresh: Served, generated: Path, name: str
) -> None:
    """All but the stream, which never ends; the export holds whatever is stored."""
    client = await client_of(fresh, *Scope)
    begun = await client("begin_export", 7001)
    sent = {"body": part("models").NewWebhook(url="https://partner.example.com/deloton")}
    webhook = await client("create_webhook", **sent)
    in_addresses = {
        "ride_id": 4711,
        "rider_id": 7001,
        "slug": "not-found",
        "export_id": begun.export_id,
        "webhook_id": webhook.webhook_id,
    }
    values = [
        in_addresses[each["name"]]
        for each in OPERATIONS[name].get("parameters", ())
        if each["in"] == "path"
    ]
    told = await client(name, *values, **(sent if "requestBody" in OPERATIONS[name] else {}))
    assert not isinstance(told, part("models").Problem), told
    assert (told is None) == ("204" in OPERATIONS[name]["responses"])
    assert unknown_to(told) == [] or name == "export"


async def test_a_partners_walk_in_the_clients_own_words(fresh: Served, generated: Path) -> None:
    models, client = part("models"), await client_of(fresh, Scope.READ, Scope.PERSONAL)
    most = models.RideSort.MOST_MAX_POWER
    first = await client("list_rides", sort=most, limit=2)
    assert [ride.ride_id for ride in first.rides] == [4715, 4712]
    cursor = first.next_.split("cursor=")[1]
    second = await client("list_rides", sort=most, limit=2, cursor=cursor)
    assert [ride.ride_id for ride in second.rides] == [4713, 4711]
    assert second.rides[1].rider.name == "Ms Ada Secretname"
    assert second.rides[1].status is models.RideStatus.ENDED

    ride = await client("get_ride", 4711)
    assert ride.started_at == datetime(2026, 3, 2, 9, tzinfo=UTC)
    assert [zone.duration_s for zone in ride.heart_rate_zones] == [0, 0, 90, 0, 0]
    page = await client(
        "list_series",
        4711,
        resolution=models.Resolution.TEN_SECONDS,
        columns=[models.ReadingColumn.POWER, models.ReadingColumn.HEART_RATE],
    )
    assert page.series.power_watts == [200.0] * 11
    assert page.series.heart_rate_bpm[0] is None
    assert page.series.cadence_rpm is part("types").UNSET
    file = await client("get_ride_as_fit", 4711)
    with fitdecode.FitReader(file.payload) as reader:
        messages = [each for each in reader if isinstance(each, fitdecode.FitDataMessage)]
    assert [each.name for each in messages].count("record") == 100

    riders = await client("list_riders", gender=models.Gender.FEMALE)
    assert [rider.rider_id for rider in riders.riders] == [7001]
    [live] = (await client("get_live")).rides
    assert live.ride_id == 4716
    board = await client("get_leaderboard", period=models.Period.ALL)
    assert board.leaders[0].rider.rider_id == 7001


async def test_what_goes_wrong_is_a_problem_with_a_constant_for_its_kind(
    fresh: Served, generated: Path
) -> None:
    kinds, client = part("models").ProblemType, await client_of(fresh, Scope.READ)
    assert (await client("remove_ride", 4711)).type_ is kinds.SCOPE_MISSING
    eraser = await client_of(fresh, Scope.ERASE)
    assert await eraser("remove_ride", 4711, reason="asked to") is None
    assert (await client("get_ride", 4711)).type_ is kinds.NOT_FOUND
    assert (await client("get_ride_as_tcx", 4716)).type_ is kinds.RIDE_GOES_ON


def test_the_client_is_typed_throughout(generated: Path) -> None:
    """But for the generator's own `client.py`, which is the same for every document."""
    assert "VALUE_" not in "".join(path.read_text() for path in generated.rglob("*.py"))
    checked = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--cache-dir=.mypy", NAME],
        cwd=generated,
        capture_output=True,
        text=True,
        check=False,
    )
    *errors, summary = checked.stdout.splitlines()
    assert [line for line in errors if not line.startswith(f"{NAME}/client.py")] == []
    assert "source files" in summary
