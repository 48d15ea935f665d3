"""EDGE: /health and /metrics, served before anything else starts and until all has stopped."""

from collections.abc import AsyncIterator, Callable

import msgspec
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, Gauge, generate_latest

from deloton.running.emf import telling_cloudwatch
from deloton.running.health import HealthReport
from deloton.running.settings import CloudWatchSettings


async def serve_pages(
    address: str, port: int, report: Callable[[], HealthReport], failing_seconds: Gauge
) -> web.AppRunner:
    """Serve until `cleanup()` of the result. Raises `OSError` where the port is taken.

    `failing_seconds` is reckoned whenever it is asked for: what waits for an answer cannot tell it.

    Where `CLOUDWATCH_NAMESPACE` is set, what alarms watch also goes to the log: see `emf.py`.
    """
    failing_seconds.set_function(lambda: report().failing_seconds)
    told = CloudWatchSettings.from_environment()

    async def health(_: web.Request) -> web.Response:
        current = report()
        status = 200 if current.healthy else 503
        body = msgspec.json.encode(current)
        return web.Response(body=body, status=status, content_type="application/json")

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def cloudwatch(_: web.Application) -> AsyncIterator[None]:
        async with telling_cloudwatch(told.cloudwatch_namespace, every_s=told.cloudwatch_every_s):
            yield

    pages = web.Application()
    pages.cleanup_ctx.append(cloudwatch)
    pages.add_routes([web.get("/health", health), web.get("/metrics", metrics)])
    runner = web.AppRunner(pages, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, address, port).start()
    return runner
