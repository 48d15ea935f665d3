"""A command's help is for who types it: rooms are for who reads the code."""

import pytest
from typer import Typer

from api import keys
from deloton.running.commands import help_of
from deloton_tableau import __main__ as tableau
from deploy.ecs import __main__ as ecs
from hr_alerter import limits
from ingestor import __main__ as ingestor
from reporter import __main__ as reporter


@pytest.mark.parametrize(
    ("docstring", "told"),
    [
        ("SHELL: what it does.\n\nMore: of it.", "what it does.\n\nMore: of it."),
        ("What it does: this.", "What it does: this."),
        (None, ""),
    ],
)
def test_a_room_is_left_out(docstring: str | None, told: str) -> None:
    assert help_of(docstring) == told


@pytest.mark.parametrize("module", [keys, tableau, ecs, limits, ingestor, reporter])
def test_no_command_tells_its_room(module: object) -> None:
    cli = getattr(module, "cli")  # noqa: B009
    assert isinstance(cli, Typer)
    assert str(cli.info.help).startswith("`python -m ")
