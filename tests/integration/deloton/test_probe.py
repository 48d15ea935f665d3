"""A container's health check against pages that answer well, badly, or not at all."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from prometheus_client import CollectorRegistry, Gauge

from deloton.probe import main
from deloton.running.health import HealthReport
from deloton.running.pages import serve_pages
from demo.ports import free_port


class Page:
    """A health page whose answer the test chooses."""

    def __init__(self) -> None:
        self.healthy = True
        self.port = free_port()

    def report(self) -> HealthReport:
        return HealthReport(self.healthy, [], {})

    async def probe(self, *options: str) -> int:
        arguments = [*options, "METRICS_PORT", "/health"]
        return await asyncio.to_thread(main, arguments, {"METRICS_PORT": str(self.port)})


@pytest.fixture
async def page() -> AsyncIterator[Page]:
    page = Page()
    gauge = Gauge("failing_seconds", "…", registry=CollectorRegistry())
    runner: web.AppRunner = await serve_pages("127.0.0.1", page.port, page.report, gauge)
    yield page
    await runner.cleanup()


async def test_a_healthy_page_is_well(page: Page) -> None:
    assert await page.probe() == 0


async def test_an_unhealthy_page_is_not_well_but_alive(page: Page) -> None:
    page.healthy = False
    assert await page.probe() == 1
    assert await page.probe("--alive") == 0


async def test_a_page_that_nobody_serves_is_not_even_alive(page: Page) -> None:
    page.port = free_port()
    assert await page.probe("--alive") == 1


def test_without_a_port_it_says_how_it_is_used() -> None:
    with pytest.raises(SystemExit, match="PORT_VARIABLE"):
        main(["METRICS_PORT", "/health"], {})
