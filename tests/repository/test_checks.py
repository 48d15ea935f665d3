"""What is checked before a change is taken is one list, wherever it is told or run."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

REPOSITORY = Path(__file__).parents[2]
WORKFLOWS = REPOSITORY / ".github" / "workflows"


def checked_by_make() -> list[str]:
    """The targets that `make check` makes, as make itself says without making them."""
    done = subprocess.run(
        ["make", "--dry-run", "check"], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    return re.findall(r"^==> make (\S+)$", done.stdout, re.MULTILINE)


def told_by(document: str) -> list[str]:
    """The targets that a document lists behind `make check`."""
    text = (REPOSITORY / document).read_text()
    told = re.search(r"`make check`[^.`]*: ((?:`[a-z-]+`(?:, | and )?)+)", text)
    assert told, f"{document} says nothing of what `make check` runs"
    return re.findall(r"`([a-z-]+)`", told[1])


def jobs_of(workflow: str) -> dict[str, Any]:
    jobs: dict[str, Any] = yaml.safe_load((WORKFLOWS / workflow).read_text())["jobs"]
    return jobs


def commands_of(job: dict[str, Any]) -> list[str]:
    return [step["run"] for step in job["steps"] if "run" in step]


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md"])
def test_documents_list_what_make_check_runs(document: str) -> None:
    assert told_by(document) == checked_by_make()


def test_the_list_holds_style_types_policies_and_both_kinds_of_tests() -> None:
    assert len(checked_by_make()) >= 5
    assert {"lint", "types", "policies", "test"} < set(checked_by_make())


def test_the_workflow_runs_make_check_and_nothing_else() -> None:
    (job,) = jobs_of("checks.yml").values()
    assert commands_of(job) == ["make check"]


def test_the_script_for_any_other_ci_runs_make_check() -> None:
    lines = (REPOSITORY / ".ci" / "run").read_text().splitlines()
    made = [line.partition("<")[0].strip() for line in lines if line.startswith("make ")]
    assert made == ["make check"]


def awaited_by(name: str, jobs: dict[str, Any]) -> set[str]:
    """The jobs that a job waits for, directly or through one another."""
    needs = jobs[name].get("needs", [])
    direct = {needs} if isinstance(needs, str) else set(needs)
    return direct.union(*(awaited_by(other, jobs) for other in direct))


def test_nothing_is_deployed_before_the_checks_have_passed() -> None:
    jobs = jobs_of("deploy.yml")
    assert jobs["checks"]["uses"] == "./.github/workflows/checks.yml"
    assert "checks" in awaited_by("deploy", jobs)


def test_the_compose_file_is_among_what_lint_checks() -> None:
    done = subprocess.run(
        ["make", "--dry-run", "lint"], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert re.search(r"check-jsonschema .*compose-spec docker-compose\.yml", done.stdout)
