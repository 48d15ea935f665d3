"""EDGE: what commands tell of themselves on a terminal."""


def help_of(docstring: str | None) -> str:
    """A module's docstring as its command's help: all of it but the room it begins with."""
    room, colon, text = (docstring or "").partition(": ")
    return text if colon and room.isupper() else docstring or ""
