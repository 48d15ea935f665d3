"""How old the newest reading on the page *Live* is, and whether page or service grow, for long.

Chromium opens the page of a running demo (`make demo`, another terminal), chooses a rider, and
another one whenever that ride is over, as staff do. Ages are of what stands on the screen: the age
that the page gives, and the time since the page says it was updated. The page gives that time in
whole seconds, so an age is up to a second too high, never too low.
"""

import argparse
import statistics
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import psutil
from playwright.sync_api import CDPSession, Page, sync_playwright

from benchmarks.system import ROOT, machine

DAY_S = 86_400
HUNDREDTHS = 100
# One look at the page: both tiles at the same moment.
_LOOK = """() => {
    const tile = (label) => [...document.querySelectorAll("[data-testid=stMetric]")]
        .find((one) => one.innerText.includes(label))
        ?.querySelector("[data-testid=stMetricValue]").innerText;
    return {age: tile("Newest reading"), updated: tile("Updated at"), at: Date.now() / 1000};
}"""


@dataclass(frozen=True)
class Look:
    """What was seen at one moment of the run; None: no reading was on the screen."""

    elapsed_s: float
    shown_s: float | None
    on_screen_s: float | None
    heap_mb: float
    nodes: int
    rss_mb: float | None


def main() -> None:
    """Watch and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--address", default="http://127.0.0.1:18501")
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--every", type=float, default=2.0, help="seconds between looks")
    parser.add_argument("--slice", type=float, default=10.0, help="minutes a row stands for")
    parser.add_argument("--time-zone", default="Europe/London", help="of the page's clock")
    options = parser.parse_args()
    zone = ZoneInfo(options.time_zone)
    service = service_at(options.address)
    with opened(options.address) as (page, devtools):
        begun = time.monotonic()
        looks = []
        while (elapsed_s := time.monotonic() - begun) < 60 * options.minutes:
            stay_with_a_rider(page)
            looks.append(look(page, devtools, service, zone, elapsed_s))
            page.wait_for_timeout(1000 * options.every)
    print(f"{options.minutes:g} minutes, a look every {options.every:g} s; {machine()}\n")
    print(table(looks, 60 * options.slice))


def service_at(address: str) -> psutil.Process | None:
    """The process that answers there, if it runs on this machine."""
    port = urlsplit(address).port
    for connection in psutil.net_connections("tcp"):
        listens = connection.status == psutil.CONN_LISTEN
        if listens and getattr(connection.laddr, "port", None) == port:
            return psutil.Process(connection.pid) if connection.pid else None
    return None


@contextmanager
def opened(address: str) -> Iterator[tuple[Page, CDPSession]]:
    """The page, once it shows riders, and what Chromium tells of it."""
    found = subprocess.run(
        [ROOT / "tools" / "setup-chromium"], capture_output=True, text=True, check=True
    )
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=found.stdout.strip(), args=["--no-sandbox", "--disable-gpu"]
        )
        page = chromium.new_page(viewport={"width": 1920, "height": 1080})
        page.goto(address)
        page.locator(".riders .card").first.wait_for(timeout=60_000)
        devtools = page.context.new_cdp_session(page)
        devtools.send("Performance.enable")
        yield page, devtools
        chromium.close()


def stay_with_a_rider(page: Page) -> None:
    """Choose the first rider where none is chosen, or the chosen one's ride is over."""
    if "ride=" not in page.url or page.get_by_text("This ride is over").is_visible():
        page.locator(".riders .card").first.click()
        page.wait_for_timeout(2000)


def look(
    page: Page,
    devtools: CDPSession,
    service: psutil.Process | None,
    zone: ZoneInfo,
    elapsed_s: float,
) -> Look:
    """What stands on the page now, and what page and service hold."""
    seen = page.evaluate(_LOOK)
    shown_s = on_screen_s = None
    if seen["age"].endswith(" s"):
        shown_s = float(seen["age"].removesuffix(" s").replace(",", ""))
        hours, minutes, seconds = map(int, seen["updated"].split(":"))
        now = datetime.fromtimestamp(seen["at"], zone)
        clock_s = 3600 * now.hour + 60 * now.minute + now.second + now.microsecond / 1e6
        on_screen_s = shown_s + (clock_s - 3600 * hours - 60 * minutes - seconds) % DAY_S
    figures = figures_of(devtools)
    return Look(
        elapsed_s,
        shown_s,
        on_screen_s,
        heap_mb=figures["JSHeapUsedSize"] / 1e6,
        nodes=int(figures["Nodes"]),
        rss_mb=service.memory_info().rss / 1e6 if service else None,
    )


def figures_of(devtools: CDPSession) -> dict[str, float]:
    """Chromium's own figures about the page."""
    metrics = devtools.send("Performance.getMetrics")["metrics"]
    return {each["name"]: each["value"] for each in metrics}


def table(looks: list[Look], slice_s: float) -> str:
    """A row a slice of the run. Heap: the least of a slice is what its garbage leaves."""
    rows = [
        "| minutes | looks | shown p50 s | p99 | max | on screen p50 s | p99 | max "
        "| least heap MB | DOM nodes | service MB |\n" + 11 * "|--:" + "|"
    ]
    for number, group in groupby(looks, lambda each: int(each.elapsed_s // slice_s)):
        seen = list(group)
        shown = [each.shown_s for each in seen if each.shown_s is not None]
        on_screen = [each.on_screen_s for each in seen if each.on_screen_s is not None]
        rss = [f"{each.rss_mb:.0f}" for each in seen if each.rss_mb is not None]
        rows.append(
            f"| {number * slice_s / 60:g}–{(number + 1) * slice_s / 60:g} | {len(seen)} "
            f"| {spread(shown)} | {spread(on_screen)} | {min(each.heap_mb for each in seen):.1f} "
            f"| {seen[-1].nodes:,} | {rss[-1] if rss else '–'} |"
        )
    return "\n".join(rows)


def spread(ages_s: list[float]) -> str:
    """Median, 99th percentile and largest, as cells."""
    if len(ages_s) < 2:  # noqa: PLR2004  nothing is between
        return "– | – | –"
    cuts = statistics.quantiles(ages_s, n=HUNDREDTHS, method="inclusive")
    return f"{statistics.median(ages_s):.2f} | {cuts[-1]:.2f} | {max(ages_s):.2f}"


if __name__ == "__main__":
    main()
