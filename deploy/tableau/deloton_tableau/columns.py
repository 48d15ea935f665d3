"""CORE: fields and parameters as the elements that a source and its sheets describe them by."""

from typing import Final
from xml.etree.ElementTree import Element, SubElement

from deloton_tableau.fields import ALIASES, Field
from deloton_tableau.sheets import FEWEST_RIDERS, PARAMETERS

SOURCE_NAME: Final = "federated.deloton"
SOURCE_CAPTION: Final = "Deloton"


def add_column(parent: Element, field: Field) -> None:
    """A field, with what people read of it."""
    told = {
        "aggregation": field.aggregation,
        "caption": field.caption,
        "datatype": field.datatype,
        "name": f"[{field.name}]",
        "role": field.role,
        "type": field.type,
        "default-format": field.format,
    }
    column = SubElement(parent, "column", {name: text for name, text in told.items() if text})
    if field.formula:
        _calculation(column, field.formula)
    if field.column.name in ALIASES:
        aliases = SubElement(column, "aliases")
        for key, value in ALIASES[field.column.name].items():
            SubElement(aliases, "alias", key=key, value=value)
    text = SubElement(SubElement(column, "desc"), "formatted-text")
    SubElement(text, "run").text = field.column.comment


def add_parameter(parent: Element) -> None:
    """The parameter that says how few riders are too few."""
    value = str(FEWEST_RIDERS.value)
    column = SubElement(
        parent,
        "column",
        {
            "caption": FEWEST_RIDERS.caption,
            "datatype": "integer",
            "name": f"[{FEWEST_RIDERS.name}]",
            "param-domain-type": "range",
            "role": "measure",
            "type": "quantitative",
            "value": value,
        },
    )
    _calculation(column, value)
    least, most = str(FEWEST_RIDERS.least), str(FEWEST_RIDERS.most)
    SubElement(column, "range", granularity="1", min=least, max=most)


def add_parameter_dependency(parent: Element) -> None:
    """The parameter, told where a formula asks for it."""
    add_parameter(SubElement(parent, "datasource-dependencies", datasource=PARAMETERS))


def _calculation(column: Element, formula: str) -> None:
    SubElement(column, "calculation", {"class": "tableau", "formula": formula})
