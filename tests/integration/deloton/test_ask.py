"""`python -m deloton.ask`: one question, an answer in lines, and nothing is changed."""

import asyncio
import subprocess
import sys

import pytest

from deloton.migrate import set_passwords
from demo.processes import inherit_environment

PASSWORD = "of who is on call"


@pytest.fixture(autouse=True)
def on_call(database_url: str) -> None:
    """The role has its password."""
    asyncio.run(set_passwords(database_url, {"on_call": PASSWORD}))


def ask(database_url: str, *words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "deloton.ask", *words],
        env=inherit_environment(DATABASE_URL=database_url, ON_CALL_DATABASE_PASSWORD=PASSWORD),
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("SELECT 1 AS one, NULL AS none, 'a' AS a", "one\tnone\ta\n1\t\ta\n"),
        ("SELECT count(*) FROM riders", "count\n0\n"),
        ("SELECT current_user", "current_user\non_call\n"),
        ("SELECT rider_id, seen_at FROM riders", "no rows\n"),
    ],
)
def test_an_answer_is_a_line_a_row_below_the_columns_names(
    database_url: str, question: str, answer: str
) -> None:
    done = ask(database_url, question)
    assert (done.returncode, done.stdout) == (0, answer), done.stderr


def test_a_long_answer_is_cut(database_url: str) -> None:
    assert len(ask(database_url, "SELECT generate_series(1, 1000)").stdout.splitlines()) == 201


@pytest.mark.parametrize(
    ("question", "complaint"),
    [
        ("DELETE FROM riders RETURNING 1", "cannot execute DELETE in a read-only transaction"),
        ("SELECT 1; COMMIT; DELETE FROM riders", "cannot insert multiple commands"),
        ("SELECT email FROM riders", "permission denied for table riders"),
        ("SELECT born_on FROM riders", "permission denied for table riders"),
        ("SELECT * FROM readings", "permission denied for table readings"),
        ("SELECT secret_hash FROM api_keys", "permission denied for table api_keys"),
        ("SELECT * FROM rider_limits", "permission denied for table rider_limits"),
        ("SELECT pg_read_file('/etc/passwd')", "permission denied for function pg_read_file"),
        ("SELECT nothing", 'column "nothing" does not exist'),
        ("", "usage"),
    ],
)
def test_what_changes_or_cannot_be_meant_is_refused_in_a_sentence(
    database_url: str, question: str, complaint: str
) -> None:
    done = ask(database_url, *([question] if question else []))
    assert done.returncode == 1
    assert complaint in done.stderr
    assert "Traceback" not in done.stderr
