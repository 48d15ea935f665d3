"""Logs are JSON, one object a line, whoever writes them."""

import io
import json
import logging
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from deloton.running.logs import configure_logging, get_logger


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """What is logged from here on; the process's own logging comes back afterwards."""
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    configure_logging("INFO")
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def lines(written: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in written.getvalue().splitlines()]


def test_an_event_is_one_json_object_with_its_facts(written: io.StringIO) -> None:
    get_logger("ingestor.app").info("partitions assigned", partitions=[0, 1])
    [line] = lines(written)
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "partitions assigned",
        "partitions": [0, 1],
        "level": "info",
        "logger": "ingestor.app",
    }


def test_libraries_log_through_the_same_handler(written: io.StringIO) -> None:
    logging.getLogger("some.library").warning("lost %s", "broker")
    [line] = lines(written)
    said = (line["event"], line["logger"], line["level"])
    assert said == ("lost broker", "some.library", "warning")


def test_a_trace_stays_in_its_line(written: io.StringIO) -> None:
    for logger in (get_logger("ours"), logging.getLogger("theirs")):
        try:
            int("no\nway")
        except ValueError:
            logger.exception("failed")
    assert [line["event"] for line in lines(written)] == ["failed", "failed"]
    assert all("ValueError: invalid literal" in line["exception"] for line in lines(written))


def test_what_json_does_not_know_is_written_all_the_same(written: io.StringIO) -> None:
    get_logger("ours").info("odd", value=object(), raw=b"\xff", text="\ud800")
    assert len(lines(written)) == 1


def test_what_lies_below_the_level_is_not_written(written: io.StringIO) -> None:
    get_logger("ours").debug("detail")
    logging.getLogger("theirs").debug("detail")
    assert not written.getvalue()
