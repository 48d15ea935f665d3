"""The PDF: two pages, selectable text, fonts inside; no rider's name can do anything to it."""

import io

import pytest
from pypdf import PdfReader
from xhtml2pdf.builders.preflight import scan, unembedded_text_fonts

from reporter.document import draw_pdf
from reporter.summary import Leader, Summary
from tests.unit.reporter.summaries import (
    WRITTEN_AT,
    a_full_summary,
    a_group,
    an_empty_summary,
    totals_of,
)

pytestmark = pytest.mark.timeout(120)


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


def test_every_figure_of_the_headline_is_selectable_text(full: PdfReader) -> None:
    text = text_of(full)
    for told in ("3,400", "1,700", "378 h", "6 min 40 s", "163 MW", "120 W", "163.2 MJ", "127 bpm"):
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
        dead_letters=None,
    )
    text = text_of(drawn(day))
    assert "There was 1 ride" in text
    assert "not counted" in text


def test_a_hundred_thousand_rides_with_long_names_still_take_two_pages() -> None:
    name = "Maximiliana-Wilhelmina Featherstonehaugh-Cholmondeley"
    leaders = [Leader(n, name, 123, 40_000.0, 123_456.0, 1485.4) for n in range(5)]
    towns = [a_group("Llanfairpwllgwyngyllgogerychwyrndrobwll", 10_000) for _ in range(5)]
    day = a_full_summary(104_217, before=90_000, leaders=leaders, sprinters=leaders, towns=towns)
    assert len(drawn(day).pages) == 2


def test_the_weekly_edition_tells_of_days_and_weeks() -> None:
    text = text_of(drawn(a_full_summary(weekly=True)))
    assert "Week 11, 9 to 15 March 2026" in text
    assert "7-week mean" in text
    assert all(label in text for label in ("Mon", "Sun", "Week 4", "Week 11"))
