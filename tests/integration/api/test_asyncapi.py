"""The AsyncAPI document: valid, as committed, kept by what really lies on Kafka, and readable."""

import json
import subprocess
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pytest

from api.contract.asyncapi import asyncapi_document, asyncapi_json
from deloton.events import EndReason
from deloton.feed.assembly import Assembled, Ended, Resumed, Started
from deloton.feed.log_lines import Refusal, RefusalReason
from deloton.running.settings import KafkaSettings
from deloton.testing import a_message_of, a_reading, a_record, a_ride, a_whole_ride, at
from demo.embedded_broker import EmbeddedBroker
from ingestor.partition_state import REPLAY_HEADER, RefusedRecord
from ingestor.publisher import LONGEST_LETTER, Publisher
from ingestor.topics import topic_configs
from tests.conftest import unique
from tests.integration.api.served import Served
from tests.integration.ingestor.topics_read import read_topic, settings_for

REPOSITORY = Path(__file__).parents[3]
DOCUMENT = asyncapi_document()
MESSAGES = DOCUMENT["components"]["messages"]


def fits(schema: dict[str, Any], told: object) -> bool:
    """Whether a value is as a schema of the document says."""
    whole = {**schema, "components": DOCUMENT["components"]}
    checker = jsonschema.Draft202012Validator.FORMAT_CHECKER
    return bool(jsonschema.Draft202012Validator(whole, format_checker=checker).is_valid(told))


def fitting(topic: str, told: object) -> list[str]:
    """The messages of a topic that a value can be."""
    channel = next(each for each in DOCUMENT["channels"].values() if each["address"] == topic)
    return [name for name in channel["messages"] if fits(MESSAGES[name]["payload"], told)]


def test_the_committed_document_is_that_of_the_service() -> None:
    written = (REPOSITORY / "services" / "api" / "asyncapi.json").read_text()
    assert written == asyncapi_json(), (
        "events have changed: python -m api.document asyncapi > services/api/asyncapi.json"
    )


@pytest.mark.system
def test_the_document_fits_the_schema_of_asyncapi() -> None:
    path = subprocess.check_output([REPOSITORY / "tools" / "fetch-asyncapi-schema"], text=True)
    schema = json.loads(Path(path.strip()).read_text())
    jsonschema.Draft7Validator(schema).validate(json.loads(asyncapi_json()))
    assert not jsonschema.Draft7Validator(schema).is_valid({**DOCUMENT, "channel": {}})


def test_the_topics_are_those_of_the_settings(broker: EmbeddedBroker) -> None:
    names = {"raw_topic", "heart_rates_topic", "ride_events_topic", "dead_letters_topic"}
    told = {channel["address"] for channel in DOCUMENT["channels"].values()}
    assert told == {KafkaSettings.model_fields[name].default for name in names}
    kept = topic_configs(settings_for(broker, "deloton"))
    assert len(kept) == sum(
        "kept for" in each["summary"] for each in DOCUMENT["operations"].values()
    )


def test_each_example_is_of_its_message_alone() -> None:
    for channel in DOCUMENT["channels"].values():
        for name in channel["messages"]:
            for example in MESSAGES[name].get("examples", ()):
                assert fitting(channel["address"], example["payload"]) == [name]


def test_what_no_event_is_fits_nothing() -> None:
    [example] = MESSAGES["RideEnded"]["examples"]
    for wrong in ({"reason": "tired"}, {"ride_id": "4711"}, {"ended_at": None}):
        assert fitting("ride-events", {**example["payload"], **wrong}) == []
    assert fitting("heart-rates", {"ride_id": 1, "rider_id": None}) == []


@pytest.mark.parametrize("line", a_whole_ride()[:8], ids=lambda line: type(line).__name__)
def test_the_bikes_lines_are_as_the_document_says(line: Any) -> None:  # noqa: ANN401  any line
    assert fitting("deloton", json.loads(a_message_of(line))) == ["RawLine"]


async def test_what_the_ingestor_sends_is_as_the_document_says(broker: EmbeddedBroker) -> None:
    settings = settings_for(broker, unique("asyncapi"))
    for topic in topic_configs(settings):
        await broker.create_topic(topic, 1)
    known, unknown = a_ride(42, rider_id=7001), a_ride(43)
    readings = [a_reading(ride, at_s=1.5, heart_rate_bpm=126) for ride in (known, unknown)]
    changes: list[Started | Ended | Resumed] = [
        *(Started(ride, None, None) for ride in (known, unknown)),
        *(Ended(known, at(3), reason) for reason in EndReason),
        Resumed(known, at(60)),
    ]
    again = [(REPLAY_HEADER, b"0/3")]
    letters = [
        RefusedRecord(a_record(value, headers=again), Refusal(reason, "It cannot be read."))
        for value in (b"\xff", b"x" * (LONGEST_LETTER + 1))
        for reason in RefusalReason
    ]
    publisher = Publisher(settings)
    await publisher.start()
    try:
        await publisher.publish(0, Assembled(readings=readings, changes=changes), letters)
    finally:
        await publisher.stop()
    rates = await read_topic(broker, settings.heart_rates_topic)
    assert [fitting("heart-rates", json.loads(each.value)) for each in rates] == 2 * [["HeartRate"]]
    events = await read_topic(broker, settings.ride_events_topic)
    assert [fitting("ride-events", json.loads(each.value)) for each in events] == [
        *(2 * [["RideStarted"]] + len(EndReason) * [["RideEnded"]] + [["RideResumed"]]),
    ]
    told = await read_topic(broker, settings.dead_letters_topic)
    assert len(told) == len(letters)
    for letter in told:
        headers = {name: value.decode() for name, value in letter.headers}
        assert fits(MESSAGES["DeadLetter"]["headers"], headers)
        assert headers.keys() <= MESSAGES["DeadLetter"]["headers"]["properties"].keys()


async def test_the_page_tells_every_topic_message_and_field_and_fetches_nothing(
    served: Served,
) -> None:
    async with httpx.AsyncClient(base_url=served.url, timeout=300) as client:
        page = await client.get("/asyncapi")
        told = (await client.get("/asyncapi.json")).text
    assert told == asyncapi_json()
    assert page.headers["content-security-policy"].startswith("default-src 'none'")
    for word in ("http:", "https:", "<script", "src="):
        assert word not in page.text
    for channel in DOCUMENT["channels"].values():
        assert f"<code>{channel['address']}</code>" in page.text
    for schema in DOCUMENT["components"]["schemas"].values():
        for field in schema.get("properties", {}):
            assert f"<code>{field}</code>" in page.text
