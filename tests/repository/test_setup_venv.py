"""`tools/setup-venv` builds .venv from the index that its user has set up, with uv or with pip.

It runs in a small repository of its own, against an index that holds a few tiny wheels.
"""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.repository.package_index import PackageIndex, Wheel, make_wheel, serve

REPOSITORY = Path(__file__).parents[2]
# All that the script starts, so that a uv of the machine's own is not among it.
PROGRAMS = ("cat", "dirname", "mktemp", "rm", "sed", "sh", "touch", "tr")
UV = Path(sys.executable).with_name("uv")
NOWHERE = "http://127.0.0.1:9/simple"


class Place:
    """A repository with nothing but the script and two locks, and its user's machine."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = folder / "home"
        self.programs = folder / "programs"
        for made in (self.home, self.programs, folder / "tools"):
            made.mkdir()
        for script in ("setup-venv", "installing.sh"):
            shutil.copy(REPOSITORY / "tools" / script, folder / "tools")
        for program in PROGRAMS:
            found = shutil.which(program)
            assert found, program
            (self.programs / program).symlink_to(found)

    def lock(self, **wheels: list[Wheel]) -> None:
        """Write `requirements-<name>.lock` of each list of wheels."""
        for name, locked in wheels.items():
            text = "".join(wheel.line for wheel in locked)
            (self.folder / f"requirements-{name}.lock").write_text(text)

    def write_pip_conf(self, text: str) -> None:
        (self.home / "pip.conf").write_text(text)

    def write_uv(self, text: str) -> None:
        uv = self.programs / "uv"
        uv.write_text(text)
        uv.chmod(0o755)

    def set_up(self, what: str = "demo", **variables: str) -> subprocess.CompletedProcess[str]:
        """Run the script as its user would, with these variables set."""
        environment = {
            "HOME": str(self.home),
            "PATH": str(self.programs),
            "PYTHON": sys.executable,
            "PIP_CONFIG_FILE": str(self.home / "pip.conf"),
            **variables,
        }
        return subprocess.run(
            [self.folder / "tools" / "setup-venv", what],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def can_import(self, module: str) -> bool:
        """Whether .venv has it."""
        command = [str(self.folder / ".venv/bin/python"), "-I", "-c", f"import {module}"]
        return subprocess.run(command, check=False, capture_output=True).returncode == 0

    def says_it_is_ready(self, what: str) -> bool:
        return (self.folder / ".venv" / f".{what}-up-to-date").exists()


@pytest.fixture
def place(tmp_path: Path) -> Place:
    (tmp_path / "place").mkdir()
    return Place(tmp_path / "place")


@pytest.fixture
def small(tmp_path: Path) -> Wheel:
    """A package that the demo needs."""
    return make_wheel(tmp_path, "small")


@pytest.fixture
def checker(tmp_path: Path) -> Wheel:
    """A package that only tests need."""
    return make_wheel(tmp_path, "checker")


@pytest.fixture
def bringable_uv(tmp_path: Path) -> Wheel:
    """uv as an index has it, which pip can bring."""
    return make_wheel(tmp_path, "uv", scripts={"uv": f'#!/bin/sh\nexec {UV} "$@"\n'})


@pytest.fixture
def index(
    tmp_path: Path, small: Wheel, checker: Wheel, bringable_uv: Wheel
) -> Iterator[PackageIndex]:
    with serve(tmp_path / "index", [small, checker, bringable_uv]) as served:
        yield served


def test_uv_asks_the_index_of_pips_environment(
    place: Place, index: PackageIndex, small: Wheel
) -> None:
    place.programs.joinpath("uv").symlink_to(UV)
    place.lock(demo=[small])
    done = place.set_up(PIP_INDEX_URL=index.url)
    assert done.returncode == 0, done.stderr
    assert index.taken == {("uv", "small")}
    assert place.can_import("small")
    assert place.says_it_is_ready("demo")
    assert not place.says_it_is_ready("dev")


# Of what pip is told twice, the nearer goes before; what uv is told goes before all of it.
@pytest.mark.parametrize(
    ("pip_conf", "variables"),
    [
        ("[global]\nindex-url = HERE\n", {}),
        ("[global]\nindex-url = NOWHERE\n[install]\nindex-url = HERE\n", {}),
        ("[download]\nindex-url = NOWHERE\n[global]\nindex-url = HERE\n", {}),
        ("[install]\nindex-url = NOWHERE\n", {"PIP_INDEX_URL": "HERE"}),
        ("[global]\nindex-url = HERE/none\nextra-index-url =\n  HERE\n", {}),
        ("[global]\nindex-url = NOWHERE\n", {"UV_DEFAULT_INDEX": "HERE"}),
        ("", {"PIP_INDEX_URL": "NOWHERE", "UV_DEFAULT_INDEX": "HERE"}),
    ],
)
def test_uv_asks_the_index_that_its_user_means(
    place: Place,
    index: PackageIndex,
    small: Wheel,
    pip_conf: str,
    variables: dict[str, str],
) -> None:
    def meant(text: str) -> str:
        return text.replace("NOWHERE", NOWHERE).replace("HERE", index.url)

    place.programs.joinpath("uv").symlink_to(UV)
    place.write_pip_conf(meant(pip_conf))
    place.lock(demo=[small])
    told = {name: meant(value) for name, value in variables.items()}
    done = place.set_up(**told, UV_HTTP_RETRIES="0")
    assert done.returncode == 0, done.stderr
    assert index.taken == {("uv", "small")}


def test_uv_takes_wheels_from_pips_folders_without_an_index(place: Place, small: Wheel) -> None:
    place.programs.joinpath("uv").symlink_to(UV)
    empty = place.folder / "empty"
    empty.mkdir()
    place.write_pip_conf(
        f"[global]\nno-index = true\nfind-links =\n  {empty}\n  {small.path.parent}\n"
    )
    place.lock(demo=[small])
    done = place.set_up()
    assert done.returncode == 0, done.stderr
    assert place.can_import("small")
    assert "pip tries" not in done.stderr


def test_pip_brings_the_locked_uv_where_there_is_none(
    place: Place, index: PackageIndex, small: Wheel, bringable_uv: Wheel
) -> None:
    place.lock(demo=[small, bringable_uv])
    done = place.set_up(PIP_INDEX_URL=index.url)
    assert done.returncode == 0, done.stderr
    assert index.taken == {("pip", "uv"), ("uv", "small")}, done.stderr


def test_pip_does_it_where_no_uv_can_be_had(
    place: Place, index: PackageIndex, small: Wheel
) -> None:
    place.lock(demo=[small])
    done = place.set_up(PIP_INDEX_URL=index.url)
    assert done.returncode == 0, done.stderr
    assert index.taken == {("pip", "small")}
    assert place.can_import("small")


@pytest.mark.parametrize(
    "uv",
    [
        "#!/bin/sh\nexit 127\n",
        '#!/bin/sh\n[ "$1" = --version ] || { echo "uv: no such option" >&2; exit 2; }\n',
    ],
    ids=["a shim", "one that cannot go on"],
)
def test_pip_goes_on_where_uv_cannot(
    place: Place, index: PackageIndex, small: Wheel, uv: str
) -> None:
    place.write_uv(uv)
    place.lock(demo=[small])
    done = place.set_up(PIP_INDEX_URL=index.url)
    assert done.returncode == 0, done.stderr
    assert index.taken == {("pip", "small")}


def test_what_the_demo_needs_holds_no_tool_and_tests_add_theirs(
    place: Place, index: PackageIndex, small: Wheel, checker: Wheel
) -> None:
    place.programs.joinpath("uv").symlink_to(UV)
    place.lock(demo=[small], dev=[small, checker])
    place.set_up("demo", PIP_INDEX_URL=index.url)
    assert not place.can_import("checker")
    place.set_up("dev", PIP_INDEX_URL=index.url)
    assert place.can_import("checker")
    assert place.says_it_is_ready("dev")
    assert index.taken == {("uv", "small"), ("uv", "checker")}


@pytest.mark.parametrize("has_uv", [True, False])
def test_a_wheel_that_is_not_the_locked_one_is_refused(
    place: Place, index: PackageIndex, small: Wheel, has_uv: bool
) -> None:
    if has_uv:
        place.programs.joinpath("uv").symlink_to(UV)
    place.lock(demo=[small])
    lock = place.folder / "requirements-demo.lock"
    lock.write_text(lock.read_text().replace(small.sha256, "0" * 64))
    done = place.set_up(PIP_INDEX_URL=index.url)
    assert done.returncode == 1
    assert "could not be installed" in done.stderr
    assert not place.says_it_is_ready("demo")
    assert not place.can_import("small")


def test_a_python_that_is_none_is_refused_by_its_name(place: Place, small: Wheel) -> None:
    place.lock(demo=[small])
    done = place.set_up(PYTHON="/bin/false")
    assert done.returncode == 1
    assert done.stderr == "PYTHON=/bin/false is not a Python 3.11 or newer.\n"
    assert not (place.folder / ".venv").exists()


def test_without_any_python_a_sentence_says_what_to_install(place: Place, small: Wheel) -> None:
    place.lock(demo=[small])
    done = place.set_up(PYTHON="")
    assert done.returncode == 1
    assert "No Python 3.11 or newer was found" in done.stderr


def test_a_python_without_pip_and_no_uv_is_told_in_a_sentence(
    place: Place, index: PackageIndex, small: Wheel
) -> None:
    """As on a Debian that has neither python3-pip nor python3-venv."""
    bare = place.folder / "bare"
    bare.mkdir()
    for module in ("pip", "ensurepip"):
        (bare / f"{module}.py").write_text(f"raise ModuleNotFoundError('No module {module}')\n")
    place.lock(demo=[small])
    done = place.set_up(PIP_INDEX_URL=index.url, PYTHONPATH=str(bare))
    assert done.returncode == 1
    assert done.stderr == (
        f"{sys.executable} has no pip, and there is no uv: install one of them "
        "(Debian, Ubuntu: python3-venv).\n"
    )
    assert not place.says_it_is_ready("demo")


def test_what_is_neither_demo_nor_dev_is_refused(place: Place) -> None:
    done = place.set_up("prod")
    assert done.returncode == 1
    assert "not prod" in done.stderr
    assert not (place.folder / ".venv").exists()
