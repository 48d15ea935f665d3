"""SHELL: the page that a link in a mail leads to, and what its form or a mail program asks for.

The link is all that opens it, as long as the mail's address is still the rider's. Reading the page
changes nothing: programs that look at the links of a mail before its reader does only read.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from fastapi import APIRouter, Request, Response

from api.access.gate import LinkLimiter
from api.contract.alert_form import LARGEST_BODY, Choice, FormError, Wishes, parse_choice
from api.contract.alert_page import HEADERS, render_busy, render_closed, render_page
from api.contract.problems import Problem
from api.routes.context import Context, InContext
from api.store.wishes import address_by, choose, wishes_by

router = APIRouter(include_in_schema=False)

# A form is a few words.
BODY_WITHIN_S = 10.0
SAID = {
    "alerts on": "Done: alerts are on, from your next ride on.",
    "alerts off": "Done: we send you no more of these mails.",
    "own limits": "Done: your limits are saved.",
}


@router.get("/alerts/{token}")
async def get_alert_wishes(request: Request, token: str, context: InContext) -> Response:
    """What the rider wants now, with a form to change it."""

    async def read(alert_id: int) -> Response:
        wishes = await wishes_by(context.database, alert_id)
        return _page(wishes) if wishes else _closed()

    return await _opened(request, token, context, read)


@router.post("/alerts/{token}")
async def post_alert_wishes(request: Request, token: str, context: InContext) -> Response:
    """Change it, by the form or by one click in a mail program."""

    async def change(alert_id: int) -> Response:
        try:
            choice = parse_choice(await _body_of(request))
        except FormError as error:
            wishes = await wishes_by(context.database, alert_id)
            return _page(wishes, wrong=str(error), status=422) if wishes else _closed()
        return await _chosen(context, alert_id, choice)

    return await _opened(request, token, context, change)


async def _chosen(context: Context, alert_id: int, choice: Choice) -> Response:
    wishes = await choose(context.database, alert_id, choice)
    return _page(wishes, said=SAID[choice.told]) if wishes else _closed()


async def _opened(
    request: Request,
    token: str,
    context: Context,
    answer: Callable[[int], Awaitable[Response]],
) -> Response:
    """What a link that is ours and still opens leads to."""
    links = context.links
    alert_id = links.alert_of(token, context.now()) if links else None
    if links is None or alert_id is None:
        return _closed()
    limiter: LinkLimiter = request.app.state.link_limiter
    if wait_s := await limiter.wait_s(alert_id):
        return _html(render_busy(), 429, {"Retry-After": str(wait_s)})
    try:
        email = await address_by(context.database, alert_id)
        is_open = email is not None and links.opens(token, email)
        return await answer(alert_id) if is_open else _closed()
    except Problem as problem:
        # For a person, and not for a program as elsewhere.
        return _html(render_busy(), problem.kind.status, problem.headers)


async def _body_of(request: Request) -> bytes:
    """Raises `FormError` for what is too much, or comes too slowly."""
    body = b""
    try:
        async with asyncio.timeout(BODY_WITHIN_S):
            async for piece in request.stream():
                body += piece
                if len(body) > LARGEST_BODY:
                    raise FormError("This form cannot be read.")
    except TimeoutError:
        raise FormError("This form came too slowly.") from None
    return body


def _page(wishes: Wishes, *, said: str = "", wrong: str = "", status: int = 200) -> Response:
    return _html(render_page(wishes, said, wrong), status)


def _closed() -> Response:
    return _html(render_closed(), 404)


def _html(page: str, status: int, headers: Mapping[str, str] | None = None) -> Response:
    return Response(page, status, {**HEADERS, **(headers or {})}, media_type="text/html")
