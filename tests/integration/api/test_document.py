"""The OpenAPI document: as committed, and kept by the service whatever it is asked."""

import json
import re
import subprocess
import sys
from pathlib import Path

from api.access.credentials import Scope
from api.document import openapi_document
from tests.e2e.chromium import running_chromium
from tests.integration.api.served import Served

COMMITTED = Path(__file__).parents[3] / "services" / "api" / "openapi.json"

TOOL = Path(__file__).parents[3] / "tools" / "lint-openapi"

# How light the words of a summary and what lies behind the page are, of 255.
_COLOURS = """() => {
    const light = (colour) => {
        const parts = colour.match(/[0-9.]+/g).slice(0, 3).map(Number);
        return parts.reduce((a, b) => a + b) / 3;
    };
    const words = document.querySelector(".swagger-ui .info .title");
    const paper = [document.querySelector(".swagger-ui"), document.body, document.documentElement]
        .map((each) => getComputedStyle(each).backgroundColor)
        .find((colour) => !colour.endsWith(", 0)"));
    return [light(getComputedStyle(words).color), paper === undefined ? 255 : light(paper)];
}"""

# Some parameters exclude each other, which no OpenAPI document can say: such values fit it and
# are refused all the same. Numbers that nobody has give 404, files of rides that go on 409, places
# of the feed of changes 410.
CONFIGURATION = """
[checks]
positive_data_acceptance.expected-statuses = [200, 201, 202, 204, 404, 409, 410, 422]
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


def test_the_document_keeps_the_rules_that_redocly_recommends(tmp_path: Path) -> None:
    linted = subprocess.run(
        [TOOL, COMMITTED], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert linted.returncode == 0, linted.stdout + linted.stderr
    assert "is valid" in linted.stderr + linted.stdout
    # A rule that is broken is noticed.
    wrong = json.loads(COMMITTED.read_text())
    del wrong["paths"]["/v1/rides"]["get"]["security"]
    (tmp_path / "wrong.json").write_text(json.dumps(wrong))
    refused = subprocess.run([TOOL, "wrong.json"], cwd=tmp_path, capture_output=True, check=False)
    assert refused.returncode != 0


def test_the_documents_are_dark_where_the_readers_pages_are(served: Served) -> None:
    with running_chromium() as chromium:
        for scheme in ("light", "dark"):
            page = chromium.new_context(color_scheme=scheme).new_page()
            page.goto(f"{served.url}/docs")
            page.get_by_text("List rides", exact=True).wait_for()
            ink, paper = page.evaluate(_COLOURS)
            assert (ink < paper) == (scheme == "light")
            assert abs(ink - paper) > 100


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
    assert selected == tested == "33"
