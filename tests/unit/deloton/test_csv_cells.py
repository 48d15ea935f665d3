"""Texts from outside cannot become a spreadsheet's formula."""

import pytest

from deloton.showing.csv_cells import harmless


@pytest.mark.parametrize(
    ("cell", "safe"),
    [
        ('=HYPERLINK("http://e")', '\'=HYPERLINK("http://e")'),
        ("+44", "'+44"),
        ("-1", "'-1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\tx", "'\tx"),
        ("Ada = Example", "Ada = Example"),
        ("", ""),
        (-1.5, -1.5),
        (None, None),
    ],
)
def test_a_text_that_begins_like_a_formula_gets_an_apostrophe(cell: object, safe: object) -> None:
    assert harmless(cell) == safe
