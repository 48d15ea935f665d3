"""The API on the small company's rows, as a process that the tests of a module share."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.embedded_postgres import EmbeddedPostgres
from demo.guardian import Guardian
from tests.conftest import unique
from tests.integration.api.served import Served, serve, store_small_company


@pytest.fixture(scope="module")
def served(
    guardian: Guardian,
    postgres: EmbeddedPostgres,
    migrated_template: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Served]:
    """An API that may be asked anything; what a test deletes it stores itself."""
    name = unique("api")
    database_url = postgres.create_database(name, template=migrated_template)
    asyncio.run(store_small_company(database_url))
    with serve(guardian, database_url, tmp_path_factory.mktemp("api")) as served:
        yield served
    postgres.drop_database(name)


@pytest.fixture
def fresh(guardian: Guardian, database_url: str, tmp_path: Path) -> Iterator[Served]:
    """An API of the test's own, on the small company's rows."""
    asyncio.run(store_small_company(database_url))
    with serve(guardian, database_url, tmp_path) as served:
        yield served
