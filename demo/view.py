"""SHELL: what a person sees: a live page on a terminal, plain lines every few seconds elsewhere."""

from collections import deque
from collections.abc import Sequence

from rich import box
from rich.console import Console, Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from demo.company_time import company_time
from demo.figures import Figures, LastRide
from demo.supervision import Watched

CAUGHT_UP_S = 10.0
STATE_STYLES = {"healthy": "green", "running": "green", "starting": "yellow"}


class Pace:
    """How many readings a second were stored of late."""

    def __init__(self, over: int) -> None:
        """Begin with nothing seen; the pace will be taken over the last `over` figures."""
        self._seen: deque[Figures] = deque(maxlen=over)

    def note(self, figures: Figures) -> float:
        """Take in the newest figures and return the readings a second."""
        self._seen.append(figures)
        first, last = self._seen[0], self._seen[-1]
        seconds = (last.at - first.at).total_seconds()
        return max(0.0, (last.readings - first.readings) / seconds) if seconds else 0.0


def plain_line(figures: Figures, readings_per_s: float) -> str:
    """Return the figures as one line of a log."""
    return (
        f"{company_time(figures.at):%H:%M:%S}  riding now {figures.riding_now}"
        f"  rides ended {figures.rides_ended:,}"
        f"  readings {figures.readings:,} (+{readings_per_s:,.0f}/s)"
        f"  lag {figures.lag_lines:,} of {figures.lines:,} lines"
        f"  age of the newest {readable_age(figures.newest_reading_age_s)}"
        f"  dead letters {figures.dead_letters:,}"
    )


def page(figures: Figures | None, readings_per_s: float, watched: Sequence[Watched]) -> Group:
    """Return the live page, 22 lines high; without figures, what is known all the same."""
    now: Text | Table = Text("waiting for the first rides …", style="dim")
    rides: Text | Table = Text("none yet", style="dim")
    if figures is not None:
        now = figures_table(figures, readings_per_s)
        rides = rides_table(figures.last_rides)
    return Group(
        Panel(now, title="Now", title_align="left", box=box.ROUNDED),
        Panel(programs_line(watched), title="Programs", title_align="left", box=box.ROUNDED),
        Panel(rides, title="Last rides", title_align="left", box=box.ROUNDED),
        Text("Ctrl-C stops everything.", style="dim"),
    )


def figures_table(figures: Figures, readings_per_s: float) -> Table:
    """Return the figures as two columns of name and value."""
    table = Table.grid(padding=(0, 2))
    age_s = figures.newest_reading_age_s
    age_style = "green" if age_s is not None and age_s < CAUGHT_UP_S else "yellow"
    for name, value, style in (
        ("Riding now", f"{figures.riding_now:,}", "bold cyan"),
        ("Rides ended", f"{figures.rides_ended:,}", ""),
        ("Readings stored", f"{figures.readings:,}", "bold"),
        ("Readings a second", f"{readings_per_s:,.0f}", "bold"),
        ("Newest reading, age", readable_age(age_s), age_style),
        ("Lines not yet stored", f"{figures.lag_lines:,} of {figures.lines:,}", ""),
        ("Dead letters", f"{figures.dead_letters:,}", ""),
    ):
        table.add_row(Text(name, style="dim"), Text(value, style=style))
    return table


def programs_line(watched: Sequence[Watched]) -> Text:
    """Return each program with its state, and how often it was started again."""
    line = Text()
    for one in watched:
        again = f", started again {one.restarts}×" if one.restarts else ""
        line.append(f"{one.name} ")
        line.append(f"{one.state}{again}   ", style=STATE_STYLES.get(one.state, "bold red"))
    return line


def rides_table(rides: Sequence[LastRide]) -> Table:
    """Return the last rides, newest first."""
    table = Table(box=None, padding=(0, 1), header_style="dim")
    for title in ("ended", "bike", "rider"):
        table.add_column(title, no_wrap=True)
    for title in ("seconds", "mean bpm", "max W", "kJ"):
        table.add_column(title, justify="right", no_wrap=True)
    for ride in rides:
        table.add_row(
            f"{company_time(ride.ended_at):%H:%M:%S}",
            Text(ride.bike_serial),
            Text(ride.rider or "unknown"),
            rounded(ride.duration_s),
            rounded(ride.mean_heart_rate_bpm),
            rounded(ride.max_power_watts),
            rounded(ride.energy_kj),
        )
    return table


def rounded(value: float | None) -> str:
    """Return a whole number, or a dash where nothing was measured."""
    return "–" if value is None else f"{value:,.0f}"


def readable_age(seconds: float | None) -> str:
    """Return an age in the largest unit that fits: `0.8 s`, `12 min`, `35.2 h`."""
    if seconds is None:
        return "–"
    if seconds < 90:  # noqa: PLR2004
        return f"{seconds:.1f} s" if seconds < CAUGHT_UP_S else f"{seconds:.0f} s"
    if seconds < 5400:  # noqa: PLR2004
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def addresses_text(addresses: Sequence[tuple[str, str]]) -> Text:
    """Return what can be opened, a line each."""
    width = max(len(name) for name, _ in addresses)
    return Text("\n".join(f"{name:<{width}}  {address}" for name, address in addresses))


def is_live(console: Console) -> bool:
    """Say whether a page can be redrawn here."""
    return console.is_terminal and not console.is_dumb_terminal
