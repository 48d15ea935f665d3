"""The locks: the demo's holds what it runs and no more, and all agree on each version."""

import ast
import re
import sys
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
LOCKS = sorted(
    path.relative_to(REPOSITORY)
    for pattern in ("*.lock", "services/*/*.lock", "deploy/*/*.lock")
    for path in REPOSITORY.glob(pattern)
)
DEVELOPMENT = Path("requirements-dev.lock")
DEMO = Path("requirements-demo.lock")
# What tests, lint and releases need, and weighs much.
TOOLS = {
    "axe-playwright-python",
    "cfn-lint",
    "hypothesis",
    "moto",
    "mypy",
    "playwright",
    "pytest",
    "ruff",
    "schemathesis",
    "sympy",
    "tableauhyperapi",
}


def locked_in(lock: Path) -> dict[str, str]:
    """Each package of a lock, with its version."""
    return dict(re.findall(r"^([\w.-]+)==(\S+)", (REPOSITORY / lock).read_text(), re.MULTILINE))


def imported_by(file: Path) -> Iterator[str]:
    """The packages that a file names."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.partition(".")[0]


@pytest.mark.parametrize("lock", LOCKS, ids=str)
def test_every_lock_agrees_with_the_one_that_holds_everything(lock: Path) -> None:
    assert locked_in(lock).items() <= locked_in(DEVELOPMENT).items()


@pytest.mark.parametrize("lock", LOCKS, ids=str)
def test_no_lock_names_an_index(lock: Path) -> None:
    assert "://" not in (REPOSITORY / lock).read_text()


def test_what_the_demo_needs_holds_no_tool() -> None:
    assert locked_in(DEVELOPMENT).keys() >= TOOLS
    assert not TOOLS & locked_in(DEMO).keys()


@pytest.mark.parametrize("lock", sorted(REPOSITORY.glob("services/*/requirements.lock")), ids=str)
def test_what_a_service_needs_the_demo_has(lock: Path) -> None:
    assert locked_in(lock).items() <= locked_in(DEMO).items()


def test_all_that_the_demo_itself_imports_is_locked_for_it() -> None:
    imported = {name for file in REPOSITORY.glob("demo/*.py") for name in imported_by(file)}
    ours = {"demo", "deloton"}
    ours |= {path.parent.name.replace("-", "_") for path in REPOSITORY.glob("services/*/README.md")}
    homes = packages_distributions()
    missing = {
        name
        for name in imported - sys.stdlib_module_names - ours
        if not {home.lower().replace("_", "-") for home in homes.get(name, [name])}
        & locked_in(DEMO).keys()
    }
    assert missing == set()
