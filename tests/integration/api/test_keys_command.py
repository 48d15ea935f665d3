"""`python -m api.keys`: keys made, listed and revoked; none is stored."""

import subprocess
import sys

import asyncpg
import pytest

from api.access.credentials import StoredKey, is_genuine, new_credential, read_credential
from demo.processes import inherit_environment
from deploy.ecs.__main__ import key_told
from tests.roles import as_role


def run(database_url: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run the command."""
    return subprocess.run(
        [sys.executable, "-m", "api.keys", *arguments],
        env=inherit_environment(DATABASE_URL=as_role(database_url, "api")),
        capture_output=True,
        text=True,
        check=False,
    )


async def test_a_key_is_shown_once_and_only_its_hash_is_stored(database_url: str) -> None:
    made = run(database_url, "create", "--name", "Partner", "--scopes", "read,personal")
    _, key_id, secret = made.stdout.strip().split("_", 2)
    connection = await asyncpg.connect(database_url)
    [row] = await connection.fetch("SELECT * FROM api_keys")
    await connection.close()
    assert (row["key_id"], row["name"], row["scopes"]) == (key_id, "Partner", ["personal", "read"])
    assert secret not in str(row)
    assert len(row["secret_hash"]) == 32


async def test_keys_are_listed_and_revoked_once(database_url: str) -> None:
    key_id = run(database_url, "create", "--name", "Partner").stdout.split("_")[1]
    assert run(database_url, "list").stdout.split("\t")[0] == key_id
    assert run(database_url, "revoke", key_id).stdout == f"{key_id} is revoked.\n"
    assert "revoked" in run(database_url, "list").stdout
    again = run(database_url, "revoke", key_id)
    assert (again.returncode, key_id in again.stderr) == (1, True)


async def test_a_key_with_an_end_is_listed_with_it(database_url: str) -> None:
    run(database_url, "create", "--name", "Trial", "--days", "30")
    assert "valid until 2" in (told := run(database_url, "list").stdout)
    assert "not used" in told


async def test_a_key_that_was_made_elsewhere_is_stored_and_told_nowhere(database_url: str) -> None:
    made = new_credential()
    done = run(database_url, "create", "--name", "Partner", "--hashed", made.hashed)
    assert (done.returncode, done.stdout) == (0, "")
    assert made.secret not in made.hashed
    connection = await asyncpg.connect(database_url)
    [row] = await connection.fetch("SELECT * FROM api_keys")
    await connection.close()
    stored = StoredKey(row["key_id"], row["secret_hash"], frozenset(), 1)
    read = read_credential(made.key)
    assert read is not None
    assert is_genuine(read, stored)
    refused = run(database_url, "create", "--name", "Partner", "--hashed", made.key)
    assert (refused.returncode, made.secret in refused.stderr) == (1, False)


@pytest.mark.parametrize("sandbox", [True, False])
async def test_a_deployments_command_makes_keys_of_both_kinds(
    database_url: str, sandbox: bool
) -> None:
    made = new_credential()
    told = key_told(made.hashed, "Partner", "read,webhooks", sandbox=sandbox)
    assert told[:3] == ["python", "-m", "api.keys"]
    assert (done := run(database_url, *told[3:])).returncode == 0, done.stderr
    connection = await asyncpg.connect(database_url)
    [row] = await connection.fetch("SELECT * FROM api_keys")
    await connection.close()
    assert (row["scopes"], row["sandbox"]) == (["read", "webhooks"], sandbox)


@pytest.mark.parametrize("scopes", ["write", "", "read,,personal"])
async def test_a_scope_that_is_not_known_is_refused(database_url: str, scopes: str) -> None:
    done = run(database_url, "create", "--name", "Partner", "--scopes", scopes)
    assert done.returncode == 1
    assert "read, personal, erase" in done.stderr


def test_a_missing_address_is_told_by_its_name() -> None:
    done = run("", "list")
    assert done.returncode == 1
    assert "DATABASE_URL" in done.stderr


def test_a_sandbox_key_is_listed_as_one_and_may_erase_nobody(database_url: str) -> None:
    run(database_url, "create", "--name", "Trial", "--sandbox")
    assert "sandbox" in run(database_url, "list").stdout.split("\t")
    refused = run(database_url, "create", "--name", "Trial", "--sandbox", "--scopes", "erase")
    assert (refused.returncode, "erases nobody" in refused.stderr) == (1, True)


@pytest.mark.parametrize("name", ["", " ", "Partner\n000000000000\tread", "a\tb"])
async def test_a_name_that_is_none_or_more_than_a_line_is_refused(
    database_url: str, name: str
) -> None:
    refused = run(database_url, "create", "--name", name)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr.startswith("--name: ")
    assert run(database_url, "list").stdout == ""


async def test_a_key_is_stored_once(database_url: str) -> None:
    hashed = new_credential().hashed
    done = [run(database_url, "create", "--name", "P", "--hashed", hashed) for _ in range(2)]
    assert [each.returncode for each in done] == [0, 1]
    assert done[1].stderr == f"There is a key with the id {hashed.split(':')[0]} already.\n"


async def test_a_database_that_is_not_migrated_is_told_in_a_sentence(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    await connection.execute("ALTER TABLE api_keys RENAME TO gone")
    await connection.close()
    told = run(database_url, "list")
    assert told.returncode == 1
    assert told.stderr.startswith("The database is not as this version needs it: ")
    assert len(told.stderr.splitlines()) == 1
