"""The pages as a person meets them: the service in a process, Chromium before it.

What was seen is kept in `tests/e2e/screenshots/`.
"""

import asyncio
import os
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from demo.ports import free_port
from tests.integration.dashboard.stored_rides import (
    store_alert,
    store_ended_rides,
    store_live_ride,
)
from tests.roles import as_role

ROOT = Path(__file__).parents[2]
SCREENSHOTS = Path(__file__).parent / "screenshots"
PAGES = {"": "Live", "recent": "Recent rides", "alerts": "Alerts", "all_time": "All time"}
SEEN_WITHIN_MS = 40_000
SCROLLED = "element => { element.scrollTo(0, 150); return element.scrollTop === 150; }"

pytestmark = pytest.mark.timeout(240)
expect.set_options(timeout=SEEN_WITHIN_MS)


class Riding:
    """A ride that goes on: a reading a second, until it is stopped."""

    def __init__(self, url: str, ride_id: int) -> None:
        self._url = url
        self._ride_id = ride_id
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._ride()))
        self._thread.start()

    async def _ride(self) -> None:
        connection = await asyncpg.connect(self._url)
        for second in range(30, 10_000):
            if self._stop.is_set():
                break
            await connection.execute(
                "INSERT INTO readings VALUES ($1, $2, $3, $4, 80, 30, $5)",
                *(self._ride_id, datetime.now(UTC), float(second), 178, 100.0 + second),
            )
            await asyncio.sleep(1)
        await connection.close()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()


@pytest.fixture
def ride_id(database_url: str) -> Iterator[int]:
    async def store() -> int:
        await store_ended_rides(database_url, ["female"] * 6 + ["male"] * 3 + ["unknown"])
        ride_id = await store_live_ride(database_url, 178)
        await store_alert(database_url, ride_id, "critical")
        return ride_id

    # Playwright has a loop of its own in this thread.
    with ThreadPoolExecutor(1) as apart:
        stored = apart.submit(lambda: asyncio.run(store())).result()
    riding = Riding(database_url, stored)
    yield stored
    riding.stop()


@pytest.fixture
def address(database_url: str, ride_id: int, tmp_path: Path) -> Iterator[str]:
    """Where the service answers."""
    port = free_port()
    environment = {
        **os.environ,
        "DATABASE_URL": as_role(database_url, "dashboard"),
        "PORT": str(port),
    }
    with (tmp_path / "dashboard.log").open("wb") as log:
        service = subprocess.Popen(
            [sys.executable, "-m", "dashboard"], env=environment, stderr=log, stdout=log
        )
    try:
        wait_for(f"http://127.0.0.1:{port}/health")
        yield f"http://127.0.0.1:{port}"
    finally:
        service.terminate()
        assert service.wait(20) == 0, "SIGTERM did not end it cleanly"


def wait_for(url: str) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.2)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    found = subprocess.run(
        [ROOT / "tools" / "setup-chromium"], capture_output=True, text=True, check=True
    )
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=found.stdout.strip(), args=["--no-sandbox", "--disable-gpu"]
        )
        yield chromium
        chromium.close()


def open_page(
    browser: Browser, url: str, *, width: int = 1280, height: int = 1000, dark: bool = False
) -> Page:
    page = browser.new_page(
        viewport={"width": width, "height": height}, color_scheme="dark" if dark else "light"
    )
    page.set_default_timeout(SEEN_WITHIN_MS)
    page.goto(url)
    return page


def tile(page: Page, label: str) -> str:
    one = page.get_by_test_id("stMetric").filter(has_text=label)
    return one.get_by_test_id("stMetricValue").inner_text()


def keep(page: Page, name: str) -> None:
    SCREENSHOTS.mkdir(exist_ok=True)
    page.wait_for_timeout(2_000)
    page.screenshot(path=SCREENSHOTS / f"{name}.png")


@pytest.mark.parametrize(("width", "dark"), [(1400, False), (390, True)])
def test_every_page_renders_at_both_widths_and_in_both_themes(
    browser: Browser, address: str, width: int, dark: bool
) -> None:
    for path, title in PAGES.items():
        page = open_page(browser, f"{address}/{path}", width=width, dark=dark)
        expect(page.get_by_role("heading", name=title, exact=True)).to_be_visible()
        expect(page.get_by_test_id("stMetric").first).to_be_visible()
        expect(page.get_by_test_id("stException")).to_have_count(0)
        keep(page, f"{title.replace(' ', '-').lower()}-{width}-{'dark' if dark else 'light'}")
        across = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert across <= 0, "the page is wider than its window"
        page.close()


def test_a_chosen_rider_stays_while_figures_change_by_themselves(
    browser: Browser, address: str, ride_id: int
) -> None:
    page = open_page(browser, f"{address}/?ride={ride_id}")
    expect(page.locator(".st-key-danger")).to_contain_text("heart rate critical")
    expect(page.get_by_test_id("stVegaLiteChart").first).to_be_visible()
    main = page.get_by_test_id("stMain")
    # The page is still growing: it can be scrolled so far once it is long enough.
    page.wait_for_function(SCROLLED, arg=main.element_handle())
    seen: set[str] = set()
    deadline = time.monotonic() + 90
    while len(seen) < 10:  # each second, on a machine with time to spare
        assert time.monotonic() < deadline, "the page stands still"
        page.wait_for_timeout(500)
        seen.add(tile(page, "Updated at"))
        expect(page.get_by_role("heading", name="Ada Example")).to_be_visible()
    assert main.evaluate("element => element.scrollTop") == 150
    assert f"ride={ride_id}" in page.url
    keep(page, "live-ride-in-danger")
    page.close()


def test_a_filter_a_click_in_a_chart_and_the_download_agree(
    browser: Browser, address: str, tmp_path: Path
) -> None:
    page = open_page(browser, f"{address}/recent", height=1600)
    rides = page.get_by_test_id("stMetric").filter(has_text="Rides").first
    expect(rides).to_contain_text("11")
    bar = page.get_by_test_id("stVegaLiteChart").first.locator("[aria-label*='gender: male']")
    bar.first.click()
    expect(page.get_by_role("button", name="Show all again")).to_be_visible()
    expect(rides.get_by_test_id("stMetricValue")).to_have_text("3")
    keep(page, "recent-rides-narrowed")
    with page.expect_download() as download:
        page.get_by_test_id("stDownloadButton").get_by_role("button").click()
    file = tmp_path / "rides.csv"
    download.value.save_as(file)
    lines = file.read_text("utf-8-sig").splitlines()
    assert len(lines) == 1 + 3
    assert all(",male," in line for line in lines[1:])
    page.get_by_role("button", name="Show all again").click()
    expect(rides).to_contain_text("11")
    page.close()
