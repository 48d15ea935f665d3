"""SHELL: webhooks: where a key wants to be told of changes, and what became of each message."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response

from api.access.gate import Subscriber
from api.contract.csv_rows import columns_of
from api.contract.openapi import creation_responses, deletion_responses, list_responses, responses
from api.contract.paging import Cursor
from api.contract.parameters import (
    DEFAULT_PAGE,
    DeliveriesParameters,
    Id,
    NewWebhook,
    Parameters,
    SwitchOnParameters,
)
from api.contract.problems import (
    BODY_TOO_LARGE,
    CHANGES_FORGOTTEN,
    NOT_FOUND,
    TOO_MANY_WEBHOOKS,
    Problem,
    not_found,
    parameter_problem,
)
from api.contract.schemas import Delivery, DeliveryPage, Webhook, WebhookList, WebhookWithSecret
from api.contract.webhook_rules import check_url, told_secret
from api.routes.context import Context, InContext
from api.store.changes import number_changes
from api.store.webhooks import (
    MOST_OF_A_KEY,
    change_secret,
    delete_webhook,
    deliveries_page,
    make_webhook,
    switch_on,
    webhook_of,
    webhooks_of,
)
from api.web.asked import query
from api.web.lists import Listing, respond
from api.web.sent import body

router = APIRouter(prefix="/v1/webhooks", tags=["webhooks"])

WebhookId = Annotated[Id, Path(description="The webhook's number.", examples=[7])]
NoParameters = Annotated[Parameters, query(Parameters)]


@router.get("", summary="List your webhooks", responses=responses())
async def list_webhooks(access: Subscriber, context: InContext, _: NoParameters) -> WebhookList:
    """Those of the key that asks, oldest first."""
    found = await webhooks_of(context.database, access.key_id)
    return WebhookList(webhooks=[Webhook(**row) for row in found])


@router.post(
    "",
    summary="Make a webhook",
    status_code=201,
    responses=creation_responses(TOO_MANY_WEBHOOKS, BODY_TOO_LARGE),
)
async def create_webhook(
    access: Subscriber,
    context: InContext,
    _: NoParameters,
    wanted: Annotated[NewWebhook, body(NewWebhook)],
) -> WebhookWithSecret:
    """From now on each change is sent to its address, as `POST` with a body of JSON.

    Such as `{"type": "ride.ended", "timestamp": "…", "data": {"change_id": 90210, "ride_id": 4711,
    "rider_id": null}}`: what the ride is like, you ask for. Messages are signed as
    [Standard Webhooks](https://www.standardwebhooks.com) says; the secret is told this once.

    Answer with a 2xx within 15 seconds. Anything else, redirects too, is tried again, after 5
    seconds at first and 8 hours at last, for three days. A message may come more than once: drop
    repeats by `webhook-id`. What is about one ride or rider comes in order; of others the later may
    come first. Who takes nothing for three days, or answers 410, is switched off.
    """
    try:
        check_url(wanted.url, context.private_hosts)
    except ValueError as error:
        raise parameter_problem("url", str(error), "body") from None
    await number_changes(context.database, context.changes_kept_for)
    made = await make_webhook(context.database, access.key_id, wanted)
    if made is None:
        raise Problem(TOO_MANY_WEBHOOKS, f"A key may have {MOST_OF_A_KEY} webhooks.")
    return await _with_secret(context, access.key_id, *made)


@router.get("/{webhook_id}", summary="Get a webhook", responses=responses(NOT_FOUND))
async def get_webhook(
    access: Subscriber, context: InContext, webhook_id: WebhookId, _: NoParameters
) -> Webhook:
    """Where it leads, and how it goes."""
    return Webhook(**await _facts(context, access.key_id, webhook_id))


@router.delete(
    "/{webhook_id}", summary="Delete a webhook", status_code=204, responses=deletion_responses()
)
async def remove_webhook(
    access: Subscriber, context: InContext, webhook_id: WebhookId, _: NoParameters
) -> None:
    """Nothing is sent to it any more, but for what is under way."""
    if not await delete_webhook(context.database, access.key_id, webhook_id):
        raise not_found("webhook", webhook_id)


@router.post(
    "/{webhook_id}/rotate",
    summary="Change a webhook's secret",
    responses=responses(NOT_FOUND, etag=False),
)
async def rotate_secret(
    access: Subscriber, context: InContext, webhook_id: WebhookId, _: NoParameters
) -> WebhookWithSecret:
    """The new secret is told this once. For a day the former one signs messages, too."""
    secret = await change_secret(context.database, access.key_id, webhook_id)
    if secret is None:
        raise not_found("webhook", webhook_id)
    return await _with_secret(context, access.key_id, webhook_id, secret)


@router.post(
    "/{webhook_id}/on",
    summary="Switch a webhook on",
    responses=responses(NOT_FOUND, CHANGES_FORGOTTEN, etag=False),
)
async def switch_webhook_on(
    access: Subscriber,
    context: InContext,
    webhook_id: WebhookId,
    asked: Annotated[SwitchOnParameters, query(SwitchOnParameters)],
) -> Webhook:
    """It goes on where it was when it was switched off; what still waits is tried at once.

    Changes are kept for 90 days, unless agreed otherwise. Where some that it was not told of are
    gone the answer is 410, and it stays off: switch it on with `from_now=true`, and then load your
    copy anew, in that order, so that nothing is missed in between.
    """
    await number_changes(context.database, context.changes_kept_for)
    if not await switch_on(context.database, access.key_id, webhook_id, from_now=asked.from_now):
        last = (await _facts(context, access.key_id, webhook_id))["last_change_id"]
        raise Problem(
            CHANGES_FORGOTTEN,
            f"Of the changes after {last}, the last that this webhook was told of, some are no "
            "longer kept. Switch it on with from_now=true, then load your copy anew.",
        )
    return Webhook(**await _facts(context, access.key_id, webhook_id))


@router.get(
    "/{webhook_id}/deliveries",
    summary="List a webhook's messages",
    response_model=DeliveryPage,
    responses=list_responses(NOT_FOUND),
)
async def list_deliveries(
    request: Request,
    access: Subscriber,
    context: InContext,
    webhook_id: WebhookId,
    asked: Annotated[DeliveriesParameters, query(DeliveriesParameters)],
) -> Response:
    """What was or is to be sent, the newest first, and what became of it; for thirty days."""
    await _facts(context, access.key_id, webhook_id)

    async def fetch(after: Cursor[Any] | None, limit: int) -> list[str]:
        return await context.database.told(deliveries_page(webhook_id, asked.state, after, limit))

    listing = Listing(
        name="deliveries",
        columns=columns_of(Delivery, personal=False),
        place=("delivery_id", None),
        place_kind=int,
        fetch=fetch,
    )
    return await respond(
        request,
        listing,
        context.reader(access),
        asked.given(),
        limit=asked.limit,
        default_limit=DEFAULT_PAGE,
    )


async def _facts(context: Context, key_id: str, webhook_id: int) -> dict[str, Any]:
    row = await webhook_of(context.database, key_id, webhook_id)
    if row is None:
        raise not_found("webhook", webhook_id)
    return row


async def _with_secret(
    context: Context, key_id: str, webhook_id: int, secret: bytes
) -> WebhookWithSecret:
    facts = await _facts(context, key_id, webhook_id)
    return WebhookWithSecret(**facts, secret=told_secret(secret))
