"""Lines a second and memory of one worker with ever more bikes."""

import argparse

from benchmarks.ingest import our_worker
from benchmarks.system import Measured, machine, produce_backlog, running_system

FLEETS = (1, 100, 10_000, 50_000)


def measure(bikes: int, lines: int) -> Measured:
    """One fleet's backlog on servers of its own."""
    with running_system() as system:
        total = produce_backlog(system, bikes, lines)
        return our_worker(system, total)


def main() -> None:
    """Measure and print the table; every rate beside that of 100 bikes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=1_000_000)
    options = parser.parse_args()
    results = {bikes: measure(bikes, options.lines) for bikes in FLEETS}
    print(f"{machine()}\n")
    print("| bikes | lines | lines a second | beside 100 bikes | peak MB |")
    print("|--:|--:|--:|--:|--:|")
    for bikes, each in results.items():
        ratio = each.per_second / results[100].per_second
        print(
            f"| {bikes:,} | {each.count:,} | {each.per_second:,.0f} | {ratio:.2f} × "
            f"| {each.peak_mb:.0f} |"
        )


if __name__ == "__main__":
    main()
