"""The PDF: two pages, selectable text, fonts inside; no rider's name can do anything to it."""

import io
from typing import Any

import pytest
from pypdf import PdfReader
from xhtml2pdf.builders.preflight import scan, unembedded_text_fonts

from deloton.events import Gender
from deloton.feed.log_lines import RefusalReason
from deloton.rules.heart_rate import AlertLevel
from deloton.showing.palette import MEASURE_COLOURS
from reporter.charts import draw_all
from reporter.document import draw_pdf
from reporter.queries import LEADERS_TOLD, SOURCES, TOWNS
from reporter.summary import AlertCount, Leader, RefusalCount, Summary
from reporter.wording import MOST_SERIALS
from tests.unit.reporter.summaries import (
    WRITTEN_AT,
    a_full_summary,
    a_group,
    an_empty_summary,
    totals_of,
)


def drawn(summary: Summary) -> PdfReader:
    return PdfReader(io.BytesIO(draw_pdf(summary, WRITTEN_AT)))


def text_of(reader: PdfReader) -> str:
    return " ".join(" ".join(page.extract_text() for page in reader.pages).split())


@pytest.fixture(scope="module")
def full() -> PdfReader:
    return drawn(a_full_summary())


def test_a_full_day_takes_two_numbered_pages_of_a4(full: PdfReader) -> None:
    assert len(full.pages) == 2
    assert [round(float(side)) for side in full.pages[0].mediabox[2:]] == [595, 842]
    assert "Page 1 of 2" in text_of(full)
    assert "Page 2 of 2" in text_of(full)


def test_title_author_and_subject_are_in_the_documents_properties(full: PdfReader) -> None:
    assert full.metadata is not None
    assert full.metadata.title == "Deloton – Daily report, Tuesday 10 March 2026"
    assert full.metadata.author == "Deloton"
    assert "2026-03-10" in str(full.metadata.subject)


def test_power_has_the_colour_that_it_has_on_the_pages() -> None:
    charts = draw_all(a_full_summary())
    assert MEASURE_COLOURS["power_watts"] in charts["power"]


def test_every_figure_of_the_headline_is_selectable_text(full: PdfReader) -> None:
    text = text_of(full)
    for told in ("3,400", "1,700", "378 h", "6 min 40 s", "163 MW", "120 W", "163 MJ", "127 bpm"):
        assert told in text, told


def test_charts_are_vectors_whose_labels_are_text(full: PdfReader) -> None:
    assert not any(page.images for page in full.pages)
    text = text_of(full)
    assert all(label in text for label in ("06:00", "Tue 3 Mar", "65 and over", "Female"))


def test_every_font_that_draws_text_is_embedded(full: PdfReader) -> None:
    reports = scan(full)
    assert unembedded_text_fonts(reports) == []
    drawn_with = {font.name for one in reports for font in one.fonts.values() if font.drawn}
    assert {name.partition("+")[2] for name in drawn_with} == {"Lato-Regular", "Lato-Bold"}


def test_names_are_text_and_no_markup(full: PdfReader) -> None:
    assert "<b>Bobby</b> & Sons" in text_of(full)
    assert "Łukasz Żółć" in text_of(full)
    assert "Rider 4" in text_of(full), "who has no name goes by number"


def test_signs_that_the_font_lacks_do_not_keep_the_report_back() -> None:
    leaders = [Leader(1, "李 Example 🚲", 1, 400.0, 40.0, 300.0)]
    assert "? Example ?" in text_of(drawn(a_full_summary(leaders=leaders)))


def test_a_name_cannot_make_the_report_read_a_file_or_ask_a_server() -> None:
    names = ['<img src="/etc/passwd">', "<img src=http://127.0.0.1>", "{{ 7 * 7 }}"]
    leaders = [Leader(n, name, 1, 400.0, 40.0, 300.0) for n, name in enumerate(names)]
    text = text_of(drawn(a_full_summary(leaders=leaders)))
    assert all(name in text for name in names)
    assert "root:" not in text


@pytest.mark.parametrize("before", [None, 0, 3400])
def test_a_day_without_rides_says_so_on_one_page(before: int | None) -> None:
    reader = drawn(an_empty_summary(before=before))
    assert len(reader.pages) == 1
    assert "Nobody rode on this day." in text_of(reader)


def test_a_single_ride_of_nobody_known_is_drawn() -> None:
    day = a_full_summary(
        1,
        totals=[totals_of(a_full_summary().on, 1)],
        genders=[a_group("unknown", 1)],
        ages=[a_group(None, 1)],
        towns=[],
        sources=[a_group(None, 1)],
        leaders=[],
        sprinters=[],
        alerts=[],
        faulty_serials=[],
        refusals=[],
    )
    assert "There was 1 ride" in text_of(drawn(day))


# Of everything as much as there can be, and as long as it can be.
NAME = "Maximiliana-Wilhelmina Featherstonehaugh-Cholmondeley"
LEADERS = [Leader(n, NAME, 123, 40_000.0, 123_456.0, 1485.4) for n in range(LEADERS_TOLD)]
MOST: dict[str, Any] = {
    "leaders": LEADERS,
    "sprinters": LEADERS,
    "genders": [a_group(gender, 26_000) for gender in Gender],
    "towns": [a_group("Llanfairpwllgwyngyllgogerychwyrndrobwll", 10_000) for _ in range(TOWNS)],
    "sources": [a_group("somewhere on the internet, they say", 17_000) for _ in range(SOURCES)],
    "alerts": [AlertCount(level, 12_345, 12_000, 12) for level in AlertLevel],
    "faulty_serials": [f"unknown:a bike of no name {n}" for n in range(MOST_SERIALS)],
    "refusals": [RefusalCount(reason, 123_456) for reason in RefusalReason],
}


@pytest.mark.parametrize("before", [90_000, 900, 104_217 * 2])
@pytest.mark.parametrize("weekly", [False, True])
def test_a_hundred_thousand_rides_with_long_names_still_take_two_pages(
    before: int, weekly: bool
) -> None:
    assert len(drawn(a_full_summary(104_217, before=before, weekly=weekly, **MOST)).pages) == 2


def test_the_quality_of_the_data_is_told_with_its_reasons(full: PdfReader) -> None:
    text = text_of(full)
    assert "Lines that could not be read 13 12 12" in text
    assert "9 of an unknown kind, 4 cut off or garbled" in text
    assert "SN0048, SN0049" in text


def test_the_weekly_edition_tells_of_days_and_weeks() -> None:
    text = text_of(drawn(a_full_summary(weekly=True)))
    assert "Week 11, 9 to 15 March 2026" in text
    assert "7-week mean" in text
    assert all(label in text for label in ("Mon", "Sun", "Week 4", "Week 11"))
    assert "Rides by the day on which they began" in text
