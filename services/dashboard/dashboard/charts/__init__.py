"""CORE: charts as functions of a tidy DataFrame, a module a page.

`ride` is of one ride; `look` and `parts` are what they share.
"""
