"""CORE: a summary → the report as HTML and as two pages of PDF, with everything in it embedded."""

import base64
import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup
from reportlab.pdfbase.ttfonts import TTFontFace
from svglib.fonts import register_font
from xhtml2pdf import pisa
from xhtml2pdf.config.resources import ResourceAccessPolicy

from deloton.showing import palette
from reporter import charts, formats, tables, wording
from reporter.errors import ReportNotDrawn
from reporter.summary import Summary

LARGEST_PART_BYTES: Final = 50_000_000

# The text's family is called otherwise than the charts' "Lato": one would replace the other.
register_font(charts.FONT, str(charts.FONTS / "Lato-Regular.ttf"))
register_font(charts.FONT, str(charts.FONTS / "Lato-Bold.ttf"), weight="bold")

_drawable: Final = frozenset(TTFontFace(str(charts.FONTS / "Lato-Regular.ttf")).charToGlyph)
_templates: Final = Environment(
    loader=PackageLoader("reporter"),
    # Names come from riders: they are text, never markup.
    autoescape=select_autoescape(["html"], default=True, disabled_extensions=["txt"]),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_templates.globals.update(formats=formats, tables=tables, wording=wording, colours=palette)


def _in_our_font(value: Any) -> Any:  # noqa: ANN401 - templates print anything
    """A text with `?` for each sign that the PDF's font lacks; markup is ours and stays."""
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    return "".join(sign if ord(sign) in _drawable else "?" for sign in value)


_for_pdf: Final = _templates.overlay(finalize=_in_our_font)


def fill(template: str, **facts: Any) -> str:  # noqa: ANN401 - templates take anything
    """A template of the package with these facts in it, for mail programs and browsers."""
    return _templates.get_template(template).render(**facts)


def draw_pdf(summary: Summary, written_at: datetime) -> bytes:
    """The report as PDF. Raises `ReportNotDrawn` where anything in it is left out."""
    svgs = charts.draw_all(summary)
    markup = _for_pdf.get_template("report.html").render(
        summary=summary,
        charts={name: _data_uri(svg) for name, svg in svgs.items()},
        fonts=charts.FONTS,
        written_at=written_at,
    )
    out = io.BytesIO()
    with _warnings() as warnings:
        status = pisa.CreatePDF(
            markup,
            dest=out,
            encoding="utf-8",
            # What is larger goes to files that xhtml2pdf leaves open.
            capacity=LARGEST_PART_BYTES,
            raise_exception=True,
            # Only our fonts, and nothing from anywhere: whatever a rider is called.
            resource_policy=ResourceAccessPolicy.server(base_dir=charts.FONTS, allow_remote=False),
        )
    if status.err or warnings:
        raise ReportNotDrawn("; ".join(warnings) or "xhtml2pdf failed without saying why")
    return out.getvalue()


def _data_uri(svg: str) -> str:
    return f"data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()}"


class _Collector(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())


@contextmanager
def _warnings() -> Iterator[list[str]]:
    """What xhtml2pdf and svglib warn of meanwhile: they leave out what they cannot draw."""
    collector = _Collector()
    loggers = [logging.getLogger(name) for name in ("xhtml2pdf", "svglib")]
    for logger in loggers:
        logger.addHandler(collector)
    try:
        yield collector.messages
    finally:
        for logger in loggers:
            logger.removeHandler(collector)
