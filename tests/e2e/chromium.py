"""A real Chromium, and how a test reads what stands on a page of the dashboard."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, Locator, Page, sync_playwright

from tests.e2e.started_demo import REPOSITORY


@contextmanager
def running_chromium() -> Iterator[Browser]:
    """The machine's Chromium, without a window; it ends when left."""
    found = subprocess.run(
        [REPOSITORY / "tools" / "setup-chromium"], capture_output=True, text=True, check=True
    )
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=found.stdout.strip(),
            args=["--no-sandbox", "--disable-gpu"],
            timeout=0,
        )
        yield chromium
        chromium.close()


def tile(page: Page, label: str) -> Locator:
    """The figure under a label."""
    one = page.get_by_test_id("stMetric").filter(has_text=label).first
    return one.get_by_test_id("stMetricValue")
