"""Which services are to be deployed: by what runs, not by what was pushed."""

import subprocess
from pathlib import Path

import pytest

from deploy.ecs.changes import changed_services
from deploy.ecs.environment import SERVICES

INPUTS = (
    "services/api/api/app.py",
    "services/ingestor/ingestor/app.py",
    "deploy/ecs/templates/analytics.yaml",
    "shared/deloton/events.py",
    "tests/unit/api/test_app.py",
)


class Repository:
    """A clone with a few of our files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.git("init", "--quiet")
        self.commit(*INPUTS)

    def git(self, *arguments: str) -> str:
        identity = ("-c", "user.name=Test", "-c", "user.email=test@deloton.example")
        ran = subprocess.run(
            ["git", *identity, *arguments],
            cwd=self.folder,
            check=True,
            capture_output=True,
            text=True,
        )
        return ran.stdout.strip()

    def commit(self, *paths: str) -> str:
        """Change files; return the commit."""
        for path in paths:
            file = self.folder / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(f"{len(list(self.folder.rglob('*')))}")
            self.git("add", path)
        self.git("commit", "--quiet", "--message", "change")
        return self.head()

    def head(self) -> str:
        return self.git("rev-parse", "HEAD")

    def changed(self, running: dict[str, str | None]) -> list[str]:
        return changed_services(running, self.folder)


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path)


def all_at(commit: str | None) -> dict[str, str | None]:
    return dict.fromkeys(SERVICES, commit)


def test_nothing_is_deployed_where_what_runs_is_what_is_here(repository: Repository) -> None:
    assert repository.changed(all_at(repository.head())) == []


def test_a_change_whose_own_deployment_failed_ships_with_the_next_push(
    repository: Repository,
) -> None:
    running = repository.head()
    repository.commit("services/api/api/app.py")  # its tests fail: it is never deployed
    repository.commit("tests/unit/api/test_app.py")
    assert repository.changed(all_at(running)) == ["api"]


def test_what_every_image_holds_changes_every_service(repository: Repository) -> None:
    running = repository.head()
    repository.commit("shared/deloton/events.py")
    assert repository.changed(all_at(running)) == [*SERVICES]


def test_a_stack_that_goes_with_a_service_changes_it(repository: Repository) -> None:
    running = repository.head()
    repository.commit("deploy/ecs/templates/analytics.yaml")
    assert repository.changed(all_at(running)) == ["ingestor"]


@pytest.mark.parametrize("tag", [None, "1.4.0", "f" * 40])
def test_what_runs_nothing_or_something_unknown_is_deployed(
    repository: Repository, tag: str | None
) -> None:
    assert repository.changed({**all_at(repository.head()), "reporter": tag}) == ["reporter"]
