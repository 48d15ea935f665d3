"""CORE: what the report puts into tiles and tables: which figures, in which order, as texts."""

from collections.abc import Iterable, Mapping
from typing import Final

from msgspec import Struct

from deloton.rules.figures import FIGURE
from deloton.showing.formats import NOTHING, number
from reporter.formats import compared, in_words, mean_count, share
from reporter.summary import AlertCount, Comparison, Group, Summary
from reporter.wording import usual_of, words_of

# A report that fits on two pages: the figures of the headline, in reading order.
TILES: Final = {
    "rides": "Rides",
    "riders": "Riders",
    "ride_time_s": "Time ridden",
    "mean_duration_s": "Mean duration",
    **{
        name: FIGURE[name].title
        for name in ("total_power_watts", "mean_power_watts", "energy_kj", "mean_heart_rate_bpm")
    },
}
# Of how good quality the data are.
QUALITY: Final = {
    "open_rides": "Rides still going on when this was written",
    "rides_cut_short": "Rides cut short, before the first sprint",
    "rides_without_rider": "Rides whose rider is not known",
    "without_contact_share": "Seconds without hands on the bar",
    "faulty_bikes": "Bikes whose power sensor is probably broken",
    "dead_letters": "Lines that could not be read",
}
NEW_AND_RETURNING: Final = {"new_riders": "New", "returning_riders": "Returning"}


class BesideItsPast(Struct, frozen=True):
    """A figure as a tile or a table's row shows it: its value, and what came before or usually.

    A tile says in `before` and `usual` how the value differs from them, or what they were where
    that is no share of anything, and nothing where they are not known. A row says what they were.
    """

    title: str
    value: str
    before: str
    usual: str


def tiles(summary: Summary) -> list[BesideItsPast]:
    """The headline's figures in reading order."""
    return [_tile(summary, name, title) for name, title in TILES.items()]


def _tile(summary: Summary, name: str, title: str) -> BesideItsPast:
    words, figure = words_of(summary.edition), summary.figure(name)
    return BesideItsPast(
        title,
        in_words(name, figure.value),
        _beside(figure.change_from_before, words.before, in_words(name, figure.before)),
        _beside(
            figure.change_from_usual,
            usual_of(summary),
            in_words(name, figure.usual, mean_count),
        ),
    )


def _beside(change: float | None, against: str, told: str) -> str:
    """How a figure differs from its past; what the past was where it cannot differ by a share."""
    if change is not None:
        return compared(change, against)
    return "" if told == NOTHING else f"{against}: {told}"


def rows(summary: Summary, titles: Mapping[str, str]) -> list[BesideItsPast]:
    """The figures of a table, by their names, beside those of the past."""
    return [_row(summary.figure(name), title) for name, title in titles.items()]


def _row(figure: Comparison, title: str) -> BesideItsPast:
    value, before = (in_words(figure.name, value) for value in (figure.value, figure.before))
    return BesideItsPast(title, value, before, in_words(figure.name, figure.usual, mean_count))


def label_of(group: Group) -> str:
    """What a group is called."""
    return (group.label or "unknown").capitalize()


def share_of_rides(group: Group, summary: Summary) -> str:
    """A group's share of all rides."""
    return share(group.rides / summary.totals.rides if summary.totals.rides else None)


def shares_listed(groups: Iterable[Group], summary: Summary) -> str:
    """All groups in a line: `Female 51.2 %, Male 48.8 %`."""
    return ", ".join(f"{label_of(one)} {share_of_rides(one, summary)}" for one in groups)


def alerts_of(summary: Summary) -> int:
    """Heart-rate alerts of all levels."""
    return sum(alert.alerts for alert in summary.alerts)


def alert_facts(alert: AlertCount) -> tuple[str, str, str, str, str]:
    """A row of the table of alerts: level, alerts, mailed, on their way, not mailed."""
    counts = (alert.alerts, alert.sent, alert.pending, alert.not_sent)
    return (alert.level.capitalize(), *map(number, counts))  # type: ignore[return-value]
