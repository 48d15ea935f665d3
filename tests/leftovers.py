"""What a test that failed has left behind fails no other."""

import gc
import sys
import warnings
from collections.abc import Iterator

import pytest


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Let go of it at once, unseen: its warnings would be told of whichever test runs next.

    The traceback of a failure holds on to whatever its test had open.
    """
    failed_before = item.session.testsfailed
    result = yield
    if item.session.testsfailed > failed_before:
        for name in ("last_exc", "last_type", "last_value", "last_traceback"):
            sys.__dict__.pop(name, None)
        with warnings.catch_warnings(action="ignore"):
            gc.collect()
    return result
