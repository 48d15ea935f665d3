"""EDGE: the templates of the stacks with tasks, made of sources that say once what they share.

`sources/parts.yaml.jinja` holds the pieces, `sources/<stack>.yaml.jinja` what is a stack's own.
What comes of them is kept in `templates/`: that is what is reviewed, checked and deployed.
"""

import re
from typing import Final

import jinja2

from deploy.ecs.environment import HERE, STACKS_WITH_TASKS

SOURCES: Final = HERE / "sources"
# A blank line stands before each part of a template and each chapter of its resources.
_BEGINNING: Final = re.compile(
    r"^(?=Parameters:|Conditions:|Resources:| {2}# ──|# What)(?<!Resources:\n)", re.MULTILINE
)


def generate(stack: str) -> str:
    """The template of a stack as its source says."""
    pieces = jinja2.Environment(
        loader=jinja2.FileSystemLoader(SOURCES),
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # noqa: S701 - YAML of our own
        trim_blocks=True,
        lstrip_blocks=True,
        # Templates are full of braces: pieces stand between << and >>.
        block_start_string="<%",
        block_end_string="%>",
        variable_start_string="<<",
        variable_end_string=">>",
        comment_start_string="<#",
        comment_end_string="#>",
    )
    pieces.filters["as_variables"] = _as_variables
    parts = pieces.get_template("parts.yaml.jinja").module
    text = pieces.get_template(f"{stack}.yaml.jinja", globals=vars(parts)).render()
    lines = [line for line in text.splitlines() if line.strip()]
    return _BEGINNING.sub("\n", "\n".join(lines) + "\n")


def _as_variables(environment: str) -> str:
    """What a task's environment says, as a function wants it: `NAME: value`, a line each."""
    said = re.findall(r"- \{Name: (\w+), Value: (.+)\}$", environment, re.MULTILINE)
    return "\n".join(f"          {name}: {value}" for name, value in said)


def write_templates() -> None:
    """Write every template that has a source."""
    for stack in STACKS_WITH_TASKS:
        (HERE / "templates" / f"{stack}.yaml").write_text(generate(stack))
