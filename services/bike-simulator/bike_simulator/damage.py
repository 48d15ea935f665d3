"""CORE: a whole ride in, the ride with its faults out."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from bike_simulator import log_lines
from bike_simulator.faults import FaultRates, damaged, unknown_message
from bike_simulator.rides import OPENING_LINES, RideMessages, RideOrder

# Which rows of a ride a fault can befall; all of them where nothing is said.
REACH: Final = {
    "lost-marker": slice(0, 2),
    "lost-system": slice(3, 4),
    "lost-half": slice(OPENING_LINES, None),
}
COPIES: Final = {"lost-marker": 0, "lost-system": 0, "lost-half": 0, "duplicate": 2}
NOT_OF_ONE_LINE: Final = ("odd-rider", "unknown-kind")
SLIPPED_IN_AFTER_US: Final = 250_000


def with_faults(
    whole: RideMessages, order: RideOrder, rates: FaultRates, firmwares: Sequence[str]
) -> RideMessages:
    """The same ride with single lines lost, doubled, damaged or slipped in."""
    if rates.spare_all_lines:
        return whole
    rng = np.random.default_rng([*order.random_key, 3])
    heads, tails, texts = whole.heads.copy(), whole.tails.copy(), list(whole.own_texts)
    copies = np.ones(heads.size, dtype=np.int64)
    for row, kind in _faults_by_row(heads.size, rates, rng).items():
        copies[row] = COPIES.get(kind, 1)
        if kind not in COPIES:
            texts.append(damaged(kind, _message(whole, order, row, firmwares), rng))
            heads[row], tails[row] = log_lines.OWN_TEXT, len(texts) - 1
    rows = np.arange(heads.size).repeat(copies)
    faulty = RideMessages(whole.offsets_us[rows], heads[rows], tails[rows], texts)
    return _with_unknown_lines(faulty, order, rates.unknown_kind, rng, firmwares)


def _faults_by_row(rows: int, rates: FaultRates, rng: np.random.Generator) -> dict[int, str]:
    """At most one fault a line, and only such as can befall it."""
    by_row: dict[int, str] = {}
    for kind, rate in rates.by_kind().items():
        if kind in NOT_OF_ONE_LINE or not rate:
            continue
        reached = np.arange(rows)[REACH.get(kind, slice(None))]
        for row in reached[rng.random(reached.size) < rate].tolist():
            by_row.setdefault(row, kind)
    return by_row


def _message(whole: RideMessages, order: RideOrder, row: int, firmwares: Sequence[str]) -> bytes:
    head, tail = int(whole.heads[row]), int(whole.tails[row])
    if head == log_lines.OWN_TEXT:
        return whole.own_texts[tail]
    at_us = order.start_us + int(whole.offsets_us[row])
    return log_lines.reading_message(at_us, head, tail, firmwares)


def _with_unknown_lines(
    ride: RideMessages,
    order: RideOrder,
    rate: float,
    rng: np.random.Generator,
    firmwares: Sequence[str],
) -> RideMessages:
    """Lines nobody has seen, a quarter of a second after a line and before the next."""
    rows = np.flatnonzero(rng.random(ride.heads.size) < rate)
    offsets_us = ride.offsets_us[rows] + SLIPPED_IN_AFTER_US
    starts_us = (order.start_us + offsets_us.astype(np.int64)).tolist()
    firmware = firmwares[order.firmware]
    texts = [unknown_message(at_us, firmware, rng) for at_us in starts_us]
    own_text_tails = len(ride.own_texts) + np.arange(rows.size)
    merged_us = np.insert(ride.offsets_us, rows + 1, offsets_us)
    by_time = np.argsort(merged_us, kind="stable")
    return RideMessages(
        merged_us[by_time],
        np.insert(ride.heads, rows + 1, log_lines.OWN_TEXT)[by_time],
        np.insert(ride.tails, rows + 1, own_text_tails)[by_time],
        [*ride.own_texts, *texts],
    )
