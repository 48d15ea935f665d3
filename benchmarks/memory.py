"""How much memory one worker holds while it works off a long backlog: it must not grow."""

import argparse
import asyncio
import contextlib
import statistics
import subprocess
import sys
import time

import asyncpg
import psutil

from benchmarks.ingest import PROGRESS
from benchmarks.system import ROOT, System, machine, produce_backlog, running_system

LOOK_EVERY_S = 0.1
TENTHS = 10


def watch_memory(system: System, total: int) -> list[tuple[int, float]]:
    """Run `python -m ingestor` over the backlog: (lines stored, MB resident), some ten a second."""
    url = system.fresh_database()
    environment = system.environment(DATABASE_URL=url, CONSUMER_GROUP=url.rsplit("/", 1)[1])
    seen: list[tuple[int, float]] = []
    with (
        contextlib.closing(asyncio.new_event_loop()) as loop,
        subprocess.Popen([sys.executable, "-m", "ingestor"], env=environment, cwd=ROOT) as worker,
    ):
        connection = loop.run_until_complete(asyncpg.connect(url))
        process = psutil.Process(worker.pid)
        while worker.poll() is None and (not seen or seen[-1][0] < total):
            stored = int(loop.run_until_complete(connection.fetchval(PROGRESS)))
            seen.append((stored, process.memory_info().rss / 1e6))
            time.sleep(LOOK_EVERY_S)
        worker.terminate()
        loop.run_until_complete(connection.close())
    return seen


def table(seen: list[tuple[int, float]], total: int) -> str:
    """One row a tenth of the backlog."""
    rows = ["| lines stored | median MB | most MB |", "|--:|--:|--:|"]
    for tenth in range(1, TENTHS + 1):
        low, high = total * (tenth - 1) // TENTHS, total * tenth // TENTHS
        held = [mb for stored, mb in seen if low < stored <= high]
        if held:
            rows.append(f"| {high:,} | {statistics.median(held):.0f} | {max(held):.0f} |")
    return "\n".join(rows)


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bikes", type=int, default=2_000)
    parser.add_argument("--lines", type=int, default=10_000_000)
    parser.add_argument("--partitions", type=int, default=12)
    options = parser.parse_args()
    with running_system(options.partitions) as system:
        total = produce_backlog(system, options.bikes, options.lines)
        fleet = f"{total:,} lines of {options.bikes:,} bikes, {options.partitions} partitions"
        print(f"{fleet}; {machine()}\n")
        print(table(watch_memory(system, total), total))


if __name__ == "__main__":
    main()
