"""EDGE: what the transport uses of Faust and aiokafka that neither promises to keep.

Looked for when the worker starts: without it a new version would lose or repeat records, or
fail in the middle of a batch, where nothing says why.
"""

from collections.abc import Iterator, Mapping
from importlib.metadata import version
from typing import Any, Final

import aiokafka
from aiokafka.client import AIOKafkaClient
from aiokafka.consumer import fetcher
from aiokafka.record.default_records import DefaultRecord, DefaultRecordBatch
from faust.transport.consumer import Consumer
from faust.transport.drivers import aiokafka as faust_aiokafka
from faust.types import ConsumerMessage

# Of each class: methods that are called or replaced, and attributes that it or its base sets.
USED: Final[Mapping[type[Any], tuple[str, ...]]] = {
    fetcher.PartitionRecords: (
        "_check_crcs", "_records", "_tp", "_unpack_records", "next_fetch_offset",
    ),
    fetcher.FetchResult: (
        "_partition_records", "_topic_partition", "_update_position", "check_assignment", "getall",
    ),
    fetcher.Fetcher: ("_fetch_task",),
    aiokafka.AIOKafkaConsumer: (
        "_client", "_fetcher", "last_poll_timestamp", "partitions_for_topic",
    ),
    AIOKafkaClient: ("force_metadata_update",),
    DefaultRecordBatch: ("is_control_batch", "next_offset", "validate_crc"),
    DefaultRecord: ("offset", "timestamp", "timestamp_type"),
    Consumer: (
        "_acked", "_acked_index", "_add_gap", "_commit", "_committed_offset",
        "_get_active_partitions", "_getmany", "_new_offset", "can_resume_flow", "flow_active",
        "getmany", "on_partitions_assigned", "perform_seek", "seek_wait",
    ),
    faust_aiokafka.Consumer: ("_new_consumer_thread", "_thread", "_to_message"),
    faust_aiokafka.AIOKafkaConsumerThread: (
        "_consumer", "_create_worker_consumer", "_ensure_consumer", "call_thread",
    ),
    faust_aiokafka.Producer: ("_settings_auth",),
    ConsumerMessage: ("generation_id", "offset", "timestamp_type", "tp", "value"),
}  # fmt: skip
# The fetcher makes both of these by their names in its module, where ours take their places.
LOOKED_UP: Final = ("FetchResult", "PartitionRecords")


def refuse_unknown_internals(used: Mapping[type[Any], tuple[str, ...]] = USED) -> None:
    """Raise `RuntimeError`, with all that is missing, where a library is not as we know it."""
    missing = [
        f"{owner.__module__}.{owner.__qualname__}.{name}"
        for owner, names in used.items()
        for name in names
        if not _has(owner, name)
    ]
    looked_up = {name for function in _functions(fetcher.Fetcher) for name in _names(function)}
    missing += [f"Fetcher's use of {name}" for name in LOOKED_UP if name not in looked_up]
    if missing:
        raise RuntimeError(
            f"aiokafka {version('aiokafka')} and faust-streaming {version('faust-streaming')} are "
            f"not as the ingestor's transport knows them; missing: {', '.join(missing)}. "
            "Install the versions of requirements.lock, or look through ingestor/transport.py."
        )


def _has(owner: type[Any], name: str) -> bool:
    """Whether instances have it: by the class, or because an `__init__` of it sets it."""
    if hasattr(owner, name) or name in getattr(owner, "__annotations__", ()):
        return True
    makers = (vars(each).get("__init__") for each in owner.__mro__)
    return any(name in _names(maker) for maker in makers)


def _functions(owner: type[Any]) -> Iterator[object]:
    return (each for each in vars(owner).values() if hasattr(each, "__code__"))


def _names(function: object) -> tuple[str, ...]:
    code = getattr(function, "__code__", None)
    return code.co_names if code is not None else ()
