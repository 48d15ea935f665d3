"""EDGE: /health and /metrics, served before anything else starts and until all has stopped."""

from collections.abc import AsyncIterator, Callable

import msgspec
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from deloton.emf import telling_cloudwatch
from deloton.health import HealthReport
from deloton.settings import CloudWatchSettings


async def serve_pages(address: str, port: int, report: Callable[[], HealthReport]) -> web.AppRunner:
    """Serve until `cleanup()` of the result. Raises `OSError` where the port is taken.

    Where `CLOUDWATCH_NAMESPACE` is set, what alarms watch also goes to the log: see `deloton.emf`.
    """
    namespace = CloudWatchSettings.from_environment().cloudwatch_namespace

    async def health(_: web.Request) -> web.Response:
        current = report()
        status = 200 if current.healthy else 503
        body = msgspec.json.encode(current)
        return web.Response(body=body, status=status, content_type="application/json")

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def cloudwatch(_: web.Application) -> AsyncIterator[None]:
        async with telling_cloudwatch(namespace):
            yield

    pages = web.Application()
    pages.cleanup_ctx.append(cloudwatch)
    pages.add_routes([web.get("/health", health), web.get("/metrics", metrics)])
    runner = web.AppRunner(pages, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, address, port).start()
    return runner
