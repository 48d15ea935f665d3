"""`make lint` holds the rooms: what it refuses, tried on packages made for it."""

import sys
from collections.abc import Iterator
from pathlib import Path

import grimp
import pytest

from tools.rooms import Rooms, room_of

INNER = '"""CORE: computes."""\n'
OUTER = '"""EDGE: asks."""\n'


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    package = tmp_path / "house"
    package.mkdir()
    (package / "__init__.py").write_text('"""A house."""\n')
    monkeypatch.syspath_prepend(tmp_path)
    room_of.cache_clear()
    yield package
    for name in [name for name in sys.modules if name.partition(".")[0] == "house"]:
        del sys.modules[name]


def faults(scripts_of_others: str = "", **modules: str) -> list[str]:
    house = Path(sys.path[0], "house")
    for name, text in modules.items():
        file = house / f"{name}.py"
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    graph = grimp.build_graph("house", include_external_packages=True, cache_dir=None)
    options = {
        "name": "rooms",
        "reach_outside": ["socket"],
        "scripts_of_others": [scripts_of_others] if scripts_of_others else [],
    }
    contract = Rooms("rooms", {"root_packages": ["house"]}, options)
    check = contract.check(graph, verbose=False)
    found: list[str] = check.metadata["faults"]
    assert check.kept is not bool(found)
    return found


@pytest.mark.usefixtures("house")
def test_edge_may_ask_core() -> None:
    assert faults(inner=INNER, outer=OUTER + "import socket\nimport house.inner\n") == []


@pytest.mark.usefixtures("house")
@pytest.mark.parametrize(
    ("inner", "fault"),
    [
        (INNER + "import house.outer\n", "house.inner (CORE) imports house.outer (EDGE)"),
        (INNER + "import socket\n", "house.inner (CORE) imports socket"),
        ('"""Computes."""\n', "house.inner names no room: CORE, EDGE, SHELL"),
    ],
)
def test_an_arrow_outwards_and_a_module_without_room_are_refused(inner: str, fault: str) -> None:
    assert faults(inner=inner, outer=OUTER) == [fault]


def test_a_module_belongs_to_the_room_of_its_package(house: Path) -> None:
    (house / "__init__.py").write_text('"""CORE: a house."""\n')
    assert faults(inner="import house.outer\n", outer=OUTER) == [
        "house.inner (CORE) imports house.outer (EDGE)"
    ]


@pytest.mark.usefixtures("house")
def test_a_module_that_no_contract_sees_is_refused_unless_others_run_it() -> None:
    hidden = {"cellar/hidden": INNER + "import house.outer\n"}
    assert faults(**hidden, outer=OUTER) == [
        "house.cellar.hidden lies in a folder without __init__.py"
    ]
    assert faults("house.cellar", **hidden, outer=OUTER) == []
