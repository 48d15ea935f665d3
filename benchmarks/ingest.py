"""Lines a second of one worker, beside stock Faust and the limits below it.

One run, one backlog: our worker with all its work; stock Faust agents (`contenders.py`); aiokafka
that only reads; COPY alone.
"""

import argparse
import asyncio
import contextlib

import asyncpg

from benchmarks.system import (
    Measured,
    System,
    machine,
    measure_program,
    produce_backlog,
    running_system,
)

OURS = "our worker, all its work"
# Stock Faust would take the better part of an hour for the whole backlog.
SAMPLE_S = 15.0
PROGRESS = "SELECT coalesce(sum(next_offset), 0)::bigint FROM ingest_offsets"


# Of a ride that ended a minute ago a short backlog has none: as much as can be packed, and none.
PACKING = {"the same, each ride packed at once": "0", "the same, no ride packed": "never"}


def our_worker(system: System, total: int, name: str = OURS, **settings: str) -> Measured:
    """`python -m ingestor`, from its first commit to its last."""
    url = system.fresh_database()
    with contextlib.closing(asyncio.new_event_loop()) as loop:
        connection = loop.run_until_complete(asyncpg.connect(url))
        measured = measure_program(
            name,
            ["-m", "ingestor"],
            system.environment(DATABASE_URL=url, CONSUMER_GROUP=url.rsplit("/", 1)[1], **settings),
            total=total,
            progress=lambda: int(loop.run_until_complete(connection.fetchval(PROGRESS))),
        )
        loop.run_until_complete(connection.close())
    return measured


def contender(system: System, kind: str, name: str, total: int) -> Measured:
    """One of `contenders.py`, for some seconds."""
    return measure_program(
        name,
        ["-m", "benchmarks.contenders", kind],
        system.environment(DATABASE_URL=system.fresh_database()),
        total=total,
        longest_s=SAMPLE_S,
    )


def table(results: list[Measured]) -> str:
    """One row a contender; the ratio is ours to theirs."""
    ours = next(result for result in results if result.name == OURS)
    rows = ["| | a second | ours is | µs of CPU each | peak MB |", "|---|--:|--:|--:|--:|"]
    for each in results:
        cpu_us = each.cpu_seconds / each.count * 1e6
        rows.append(
            f"| {each.name} | {each.per_second:,.0f} | {ours.per_second / each.per_second:.2f} × "
            f"| {cpu_us:.1f} | {each.peak_mb:.0f} |"
        )
    return "\n".join(rows)


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bikes", type=int, default=2_000)
    parser.add_argument("--lines", type=int, default=3_000_000)
    parser.add_argument("--only-ours", action="store_true")
    options = parser.parse_args()
    with running_system() as system:
        total = produce_backlog(system, options.bikes, options.lines)
        print(f"{total:,} lines of {options.bikes:,} bikes, 12 partitions; {machine()}\n")
        results = [our_worker(system, total)]
        results += [
            our_worker(system, total, name, PACK_AFTER_S=after_s)
            for name, after_s in PACKING.items()
        ]
        if not options.only_ours:
            results += [
                contender(system, "read", "aiokafka getmany, doing nothing", total),
                contender(system, "copy", "COPY alone (readings: two lines each)", total // 2),
                contender(system, "stock-nothing", "stock Faust agent, doing nothing", total),
                contender(system, "stock-work", "stock Faust agent, our work by message", total),
            ]
    print(table(results))


if __name__ == "__main__":
    main()
