"""The rooms of the house, as a contract that import-linter keeps: arrows point inwards.

A module's room is the first word of its docstring, or of the docstring of the nearest package
above it that names one: CORE computes and touches nothing, EDGE talks to one outside system,
SHELL wires the two. `pyproject.toml` says which libraries reach outside.
"""

import ast
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, fields, output

ROOMS: Final = ("CORE", "EDGE", "SHELL")


class Rooms(Contract):
    """Every module has a room, imports none further out, and CORE no library that reaches outside.

    A package above rooms of several kinds has none itself: it holds no imports of ours. What lies
    in a folder without `__init__.py` no contract sees, so no module may, but in those folders
    that `pyproject.toml` names as scripts of others.
    """

    reach_outside = fields.SetField(subfield=fields.StringField())
    scripts_of_others = fields.SetField(subfield=fields.StringField())

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:  # noqa: ARG002
        """Compare each import with the rooms of its two ends."""
        ours = sorted(module for module in graph.modules if not graph.is_module_squashed(module))
        faults = [fault for module in ours for fault in self._faults_of(module, graph)]
        faults += [f"{name} lies in a folder without __init__.py" for name in self._unseen(graph)]
        return ContractCheck(kept=not faults, metadata={"faults": faults})

    def render_broken_contract(self, check: ContractCheck) -> None:
        """Print a line for each import that points outwards, and for each module without a room."""
        for fault in check.metadata["faults"]:
            output.print_error(fault)

    def _unseen(self, graph: ImportGraph) -> list[str]:
        tops = self.session_options["root_packages"]
        others: Iterable[str] = self.scripts_of_others  # type: ignore[assignment]
        scripts = tuple(f"{package}." for package in others)
        names = (name for top in tops for name in _modules_below(top))
        return sorted(
            name for name in names if name not in graph.modules and not name.startswith(scripts)
        )

    def _faults_of(self, module: str, graph: ImportGraph) -> list[str]:
        imported = sorted(graph.find_modules_directly_imported_by(module))
        room = room_of(module)
        if room is None:
            is_only_above = graph.find_children(module) and not imported
            return [] if is_only_above else [f"{module} names no room: {', '.join(ROOMS)}"]
        return [
            fault for other in imported if (fault := self._fault_of(module, room, other, graph))
        ]

    def _fault_of(self, module: str, room: str, imported: str, graph: ImportGraph) -> str | None:
        if graph.is_module_squashed(imported):
            reaches = imported in self.reach_outside  # type: ignore[operator]
            return f"{module} (CORE) imports {imported}" if room == "CORE" and reaches else None
        other = room_of(imported)
        if other is None or ROOMS.index(other) <= ROOMS.index(room):
            return None
        return f"{module} ({room}) imports {imported} ({other})"


def _modules_below(top: str) -> Iterator[str]:
    """The names of all modules in a package's folders, whatever their folders hold besides."""
    spec = find_spec(top)
    for folder in map(Path, spec.submodule_search_locations or () if spec else ()):
        for file in folder.rglob("*.py"):
            *above, name = file.relative_to(folder.parent).with_suffix("").parts
            yield ".".join(above if name == "__init__" else (*above, name))


@cache
def room_of(module: str) -> str | None:
    """The room a module says it belongs to, or that of a package above; None where none is said."""
    spec = find_spec(module)
    text = Path(spec.origin).read_text(encoding="utf-8") if spec and spec.origin else ""
    said, colon, _ = (ast.get_docstring(ast.parse(text)) or "").partition(":")
    if colon and said in ROOMS:
        return said
    above = module.rpartition(".")[0]
    return room_of(above) if above else None
