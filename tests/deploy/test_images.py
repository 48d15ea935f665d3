"""What an image's programs import is in the image: found by reading them, without building it."""

import ast
import re
import sys
from collections.abc import Iterator
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
IMAGES = {path.parent.name: path.parent for path in REPOSITORY.glob("*/*/Dockerfile")}
# An image bears its service's name, and holds the package of that name.
PACKAGES = {"tableau": "deloton_tableau"}
# What may be started in each of them, beside its own service.
OF_ALL = ("deloton.migrate", "deloton.analytics", "deloton.probe")


def package_of(service: Path) -> str:
    """The name of the package in an image."""
    return PACKAGES.get(service.name, service.name.replace("-", "_"))


def source_of(module: str, service: Path) -> Path | None:
    """The file of a module of ours; None for others."""
    for folder in (service, REPOSITORY / "shared"):
        path = folder.joinpath(*module.split("."))
        for file in (path.with_suffix(".py"), path / "__init__.py"):
            if file.exists():
                return file
    return None


def imports_of(file: Path) -> Iterator[str]:
    """The modules that a file names; of `from a import b` both `a` and `a.b`."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@cache
def others_imported(service: Path, entries: tuple[str, ...]) -> frozenset[str]:
    """The packages of others that modules of ours name, directly or through one another."""
    waiting, seen, others = list(entries), set(), set()
    while waiting:
        module = waiting.pop()
        file = source_of(module, service)
        if file is None:
            others.add(module.partition(".")[0])
        elif file not in seen:
            seen.add(file)
            waiting += imports_of(file)
    ours = {"deloton", package_of(service)}
    return frozenset(others - ours - sys.stdlib_module_names)


@pytest.mark.parametrize("image", IMAGES)
def test_all_that_the_programs_of_an_image_import_is_locked_for_it(image: str) -> None:
    service = IMAGES[image]
    package = package_of(service)
    modules = sorted(service.glob(f"{package}/**/*.py"))
    own = (".".join(path.relative_to(service).with_suffix("").parts) for path in modules)
    database = () if image == "bike-simulator" else OF_ALL
    locked = set(
        re.findall(r"^([\w.-]+)==", (service / "requirements.lock").read_text(), re.MULTILINE)
    )
    homes = packages_distributions()
    missing = {
        name
        for name in others_imported(service, (*own, *database))
        if not {home.lower().replace("_", "-") for home in homes.get(name, [name])} & locked
    }
    assert missing == set()
