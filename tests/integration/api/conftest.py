"""The API on the small company's rows: two processes that the tests share one after another."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from demo.embedded_postgres import EmbeddedPostgres
from demo.guardian import Guardian
from tests.conftest import unique
from tests.integration.api.served import Served, serve, store_small_company


@pytest.fixture(scope="session")
def served(
    guardian: Guardian,
    postgres: EmbeddedPostgres,
    migrated_template: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Served]:
    """An API that may be asked anything; who stores or deletes rows takes `fresh`."""
    with serving(guardian, postgres, migrated_template, tmp_path_factory) as served:
        asyncio.run(store_small_company(served.database_url))
        yield served


@pytest.fixture(scope="session")
def used(
    guardian: Guardian,
    postgres: EmbeddedPostgres,
    migrated_template: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Served]:
    """The API that `fresh` gives to one test after another."""
    store = tmp_path_factory.mktemp("exports").as_uri()
    with serving(
        guardian, postgres, migrated_template, tmp_path_factory, EXPORT_STORE=store
    ) as used:
        yield used


@pytest.fixture
def fresh(used: Served) -> Served:
    """An API with the small company's rows and no others, whatever a test does to them."""
    asyncio.run(used.begin_anew())
    return used


@contextmanager
def serving(
    guardian: Guardian,
    postgres: EmbeddedPostgres,
    template: str,
    folders: pytest.TempPathFactory,
    **names: str,
) -> Iterator[Served]:
    """An API on a database of its own, without a row."""
    name = unique("api")
    database_url = postgres.create_database(name, template=template)
    with serve(guardian, database_url, folders.mktemp("api"), **names) as served:
        yield served
    postgres.drop_database(name)
