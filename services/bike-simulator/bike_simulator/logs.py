"""EDGE: JSON logs on stderr, one object a line; never anything of a rider."""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any

SERVICE = "bike-simulator"


class JsonFormatter(logging.Formatter):
    """A record as one JSON object; what was passed as `extra={"facts": {...}}` lies beside it."""

    def format(self, record: logging.LogRecord) -> str:
        """Spell out the record."""
        line: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "service": SERVICE,
            "event": record.getMessage(),
            **getattr(record, "facts", {}),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)


def log_to_stderr(level: str) -> None:
    """Send all logs to stderr as JSON; the Kafka client only speaks up when it is serious.

    ValueError if there is no such level.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    # A broker that is away is reported by `kafka.py`, once a try, not for each batch.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
