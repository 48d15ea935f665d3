"""CORE: texts from outside on their way into a CSV that somebody will open in a spreadsheet."""

from typing import Final

# What a spreadsheet takes for a formula when a cell begins with it (OWASP: CSV injection).
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


def harmless(cell: object) -> object:
    """The cell, a text that would be a formula behind an apostrophe; numbers stay numbers."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell
