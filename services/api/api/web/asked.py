"""SHELL: what a request's address asks for, read into the model of its route.

FastAPI would do the same, field by field, in a third of a millisecond; `contract.openapi` tells
the document of the parameters.
"""

from collections import Counter
from typing import Any

from fastapi import Depends, Request
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError

from api.contract.parameters import OLD_NAMES, Parameters
from api.contract.problems import parameter_problem


class Asked:
    """A dependency: the query of a request as a model; what does not fit it is refused."""

    def __init__(self, model: type[Parameters]) -> None:
        """Read such models."""
        self.model = model
        self._names = {old: new for old, new in OLD_NAMES.items() if new in model.model_fields}
        # Of these some programs give each value by itself, and mean the same as commas.
        self._lists = {
            name for name, field in model.model_fields.items() if "tuple" in str(field.annotation)
        }

    async def __call__(self, request: Request) -> Parameters:
        """The parameters of a request."""
        given = self._joined(request.query_params.multi_items())
        if not given:
            return self.model()
        by_name = {self._names.get(name, name): name for name, _ in given}
        if len(by_name) < len(given):
            _refuse_repeated([self._names.get(name, name) for name, _ in given])
        try:
            return self.model.model_validate(
                {self._names.get(name, name): value for name, value in given}
            )
        except ValidationError as refused:
            # By the name that was given, which may be an old one.
            errors = [_in_query(error, by_name) for error in refused.errors()]
            raise RequestValidationError(errors) from None

    def _joined(self, given: list[tuple[str, str]]) -> list[tuple[str, str]]:
        lists = {name: [v for n, v in given if n == name] for name in self._lists}
        joined = [(name, ",".join(values)) for name, values in lists.items() if values]
        return [each for each in given if each[0] not in self._lists] + joined


def query(model: type[Parameters]) -> Any:  # noqa: ANN401  what FastAPI calls Any, too
    """The dependency of a route that takes such parameters."""
    return Depends(Asked(model))


def _in_query(error: Any, by_name: dict[str, str]) -> dict[str, Any]:  # noqa: ANN401  pydantic's
    place = [by_name.get(str(part), part) for part in error["loc"]]
    return {**error, "loc": ("query", *place)}


def _refuse_repeated(names: list[str]) -> None:
    """Only one of them would count, and it would not be said which."""
    for name, count in Counter(names).items():
        if count > 1:
            raise parameter_problem(name, "is given more than once")
