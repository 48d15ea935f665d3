"""SHELL: what a request sends as JSON, read into the model of its route; a little, and soon.

FastAPI would read all of it, from whoever sends it, before it asks for a key.
"""

import asyncio
from typing import Any, Final

from fastapi import Depends, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError

from api.contract.problems import BODY_TOO_LARGE, Problem, parameter_problem

LARGEST_BODY: Final = 16_384
BODY_WITHIN_S: Final = 10.0


class Sent:
    """A dependency: the body of a request as a model; what does not fit it is refused."""

    def __init__(self, model: type[BaseModel]) -> None:
        """Read such models."""
        self.model = model

    async def __call__(self, request: Request) -> BaseModel:
        """What a request sent."""
        body = await _body_of(request)
        try:
            return self.model.model_validate_json(body)
        except ValidationError as refused:
            errors = [{**error, "loc": ("body", *error["loc"])} for error in refused.errors()]
            raise RequestValidationError(errors) from None


def body(model: type[BaseModel]) -> Any:  # noqa: ANN401  what FastAPI calls Any, too
    """The dependency of a route that takes such a body; it comes after the key's."""
    return Depends(Sent(model))


async def _body_of(request: Request) -> bytes:
    pieces: list[bytes] = []
    try:
        async with asyncio.timeout(BODY_WITHIN_S):
            async for piece in request.stream():
                pieces.append(piece)
                if sum(map(len, pieces)) > LARGEST_BODY:
                    raise Problem(BODY_TOO_LARGE, f"It may have {LARGEST_BODY} bytes.")
    except TimeoutError:
        raise parameter_problem("body", "came too slowly", "body") from None
    return b"".join(pieces)
