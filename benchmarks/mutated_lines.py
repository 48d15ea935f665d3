"""A million mutated lines through parser and assembly: nothing raises, every refusal is counted.

Seeded: the same seed gives the same lines. Not a measure of speed alone: what is counted is how
many of which kind come out, and that nothing else does.
"""

import argparse
import random
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice

from benchmarks.system import machine
from bike_simulator import FAULT_PRESETS, FleetPlan, simulate
from deloton.assembly import Assembled, Stream
from deloton.log_lines import Refusal, parse_message

START_AT = datetime(2026, 3, 2, 9, tzinfo=UTC)
TYPICAL = [b"0", b"9", b"-", b".", b"e", b'"', b"\\", b"\n", b"\0", b"\xff", b"{", b"}", b";", b" "]


def mutated(value: bytes, rng: random.Random) -> bytes:
    """A message with one to four of its bytes replaced, removed, doubled or swapped."""
    data = bytearray(value)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(data) + 1)
        match rng.randrange(5):
            case 0:
                data[at : at + 1] = rng.choice(TYPICAL)
            case 1:
                del data[at : at + rng.randint(1, 12)]
            case 2:
                data[at:at] = data[at : at + rng.randint(1, 12)]
            case 3:
                data[at:at] = rng.randbytes(rng.randint(1, 4))
            case 4:
                del data[at:]
    return bytes(data)


def messages(count: int, seed: int) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values of a faulty fleet, of which two in three are mutated on top."""
    rng = random.Random(seed)  # noqa: S311 - repeatable, not secret
    until_at = START_AT + timedelta(days=30)
    plan = FleetPlan(
        START_AT,
        bikes=200,
        seed=seed,
        until_at=until_at,
        back_to_back=True,
        faults=FAULT_PRESETS["heavy"],
    )
    for message in islice(simulate(plan), count):
        whole = rng.random() < 1 / 3
        yield message.key, message.value if whole else mutated(message.value, rng)


def main() -> None:
    """Run them through and print what came out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    streams: dict[bytes, Stream] = {}
    out, counts = Assembled(), Counter[str]()
    begun = time.perf_counter()
    for key, value in messages(options.lines, options.seed):
        line = parse_message(value)
        refusal: Refusal | None
        if isinstance(line, Refusal):
            refusal = line
        else:
            counts[type(line).__name__] += 1
            refusal = streams.setdefault(key, Stream(key)).accept(line, out)
        if refusal is not None:
            counts[f"refused: {refusal.reason}"] += 1
    seconds = time.perf_counter() - begun
    counts["repeats"] = out.repeats
    counts["rides"], counts["readings"] = len(out.started), len(out.readings)
    print(f"{options.lines:,} lines of seed {options.seed} in {seconds:.0f} s; {machine()}\n")
    print("| | |\n|---|--:|")
    for name, count in sorted(counts.items()):
        print(f"| {name} | {count:,} |")


if __name__ == "__main__":
    main()
