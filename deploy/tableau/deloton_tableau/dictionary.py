"""CORE: the data dictionary in `docs/tableau.md`, written from the columns' comments."""

from collections.abc import Sequence
from typing import Final

from deloton_tableau.star import StarView

BEGIN: Final = "<!-- dictionary: written by `make tableau-files` from the column comments -->"
END: Final = "<!-- end of the dictionary -->"


def dictionary(star: Sequence[StarView]) -> str:
    """A table a view, in Markdown."""
    parts = []
    for view in star:
        rows = "\n".join(f"| `{c.name}` | {c.type} | {c.comment} |" for c in view.columns)
        head = "| Column | Type | |\n|---|---|---|"
        parts.append(f"### `{view.name}`\n\n{view.comment}\n\n{head}\n{rows}\n")
    return "\n".join(parts)


def with_dictionary(text: str, star: Sequence[StarView]) -> str:
    """The document with its dictionary written anew; the rest stays. Needs both marks in it."""
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}\n\n{dictionary(star)}\n{END}{after}"
