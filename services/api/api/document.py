"""SHELL: `python -m api.document` writes the OpenAPI document, with `asyncapi` the AsyncAPI one.

What this prints is committed as `services/api/openapi.json` and `asyncapi.json`.
"""

import json
import sys

from pydantic import SecretStr

from api.app import create_app
from api.contract.asyncapi import asyncapi_json
from api.settings import ApiSettings


def openapi_document() -> str:
    """The OpenAPI document as it is committed."""
    settings = ApiSettings(database_url=SecretStr("postgresql://nobody.invalid/none"))
    document = create_app(settings).openapi()
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.stdout.write(asyncapi_json() if sys.argv[1:] == ["asyncapi"] else openapi_document())
