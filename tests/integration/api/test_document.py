"""The OpenAPI document: as committed, and kept by the service whatever it is asked."""

import json
import re
import subprocess
import sys
from pathlib import Path

from api.access.credentials import Scope
from api.document import openapi_document
from tests.integration.api.served import Served

COMMITTED = Path(__file__).parents[3] / "services" / "api" / "openapi.json"

# Some parameters exclude each other, which no OpenAPI document can say: such values fit it and
# are refused all the same. Numbers that nobody has give 404, files of rides that go on 409, places
# of the feed of changes 410.
CONFIGURATION = """
[checks]
positive_data_acceptance.expected-statuses = [200, 202, 204, 404, 409, 410, 422]
"""


def test_the_committed_document_is_that_of_the_service() -> None:
    written = COMMITTED.read_text()
    assert written == openapi_document(), (
        "the API has changed: python -m api.document > services/api/openapi.json"
    )


def test_the_document_tells_what_clients_are_made_of() -> None:
    document = json.loads(openapi_document())
    assert document["servers"]
    for path, operations in document["paths"].items():
        for operation in operations.values():
            assert operation["security"] == [] or "401" in operation["responses"], path
            assert {"405", "500"} <= operation["responses"].keys(), path
            for status in {"429", "503"} & operation["responses"].keys():
                assert "Retry-After" in operation["responses"][status]["headers"], path
            for parameter in operation.get("parameters", ()):
                if parameter["schema"].get("type") == "integer":
                    assert {"minimum", "maximum"} <= parameter["schema"].keys(), parameter
    for name, schema in document["components"]["schemas"].items():
        words = schema.get("x-enum-varnames")
        assert ("enum" in schema) == (words is not None), name
        assert words is None or all(map(str.isidentifier, words)), name


def test_an_answer_names_each_kind_of_problem_once() -> None:
    for path, operations in json.loads(openapi_document())["paths"].items():
        for operation in operations.values():
            for answer in operation["responses"].values():
                slugs = re.findall(r"\(`([a-z-]+)`\)", answer["description"])
                assert len(slugs) == len(set(slugs)), path


async def test_the_service_keeps_what_the_document_promises(fresh: Served, tmp_path: Path) -> None:
    """Everything but the stream, which never ends and has tests of its own."""
    (tmp_path / "schemathesis.toml").write_text(CONFIGURATION)
    key = await fresh.make_key(*Scope)
    done = subprocess.run(
        [
            *(Path(sys.executable).with_name("schemathesis"), "--config-file=schemathesis.toml"),
            *("run", f"{fresh.url}/openapi.json", f"--header=Authorization: Bearer {key}"),
            *("--checks=all", "--max-examples=15", "--seed=1", "--exclude-path=/v1/live/stream"),
            *("--continue-on-failure", "--no-color"),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    [selected, tested] = re.findall(r"(?:Selected|Tested): (\d+)", done.stdout)
    assert selected == tested == "26"
