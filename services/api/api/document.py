"""SHELL: `python -m api.document`: the OpenAPI document on standard output."""

import json
import sys

from pydantic import SecretStr

from api.app import create_app
from api.settings import ApiSettings


def openapi_document() -> str:
    """The document as it is committed."""
    settings = ApiSettings(database_url=SecretStr("postgresql://nobody.invalid/none"))
    document = create_app(settings).openapi()
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.stdout.write(openapi_document())
