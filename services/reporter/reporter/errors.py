"""CORE: what can keep a report from its reader.

```text
DelotonError
└── ReportError
    ├── DatabaseAway         no database let the reporter in
    ├── ReportNotDrawn       something of it could not be drawn
    ├── ReportNotMailed      the mail was not accepted
    ├── ReportNotArchived    the archive did not take it
    └── ReportUncertain      the mail was on its way when the answer or the run was lost
```
"""

from collections.abc import Sequence

from deloton.errors import DelotonError


class ReportError(DelotonError):
    """A report that did not reach its reader."""


class DatabaseAway(ReportError):
    """No database let the reporter in: says which was asked, how often, and what came of it."""

    def __init__(self, address: str, tried: Sequence[str], patience_s: float) -> None:
        """`tried` holds the name of each attempt's error, in their order."""
        times = "once" if len(tried) == 1 else f"{len(tried)} times"
        came = f", at last {tried[-1]}" if tried else ""
        super().__init__(f"no database at {address}: tried {times} within {patience_s:.0f} s{came}")


class ReportNotDrawn(ReportError):
    """Something of the report could not be drawn; the message says what."""


class ReportNotMailed(ReportError):
    """The mail was not accepted; says why in the provider's own code."""


class ReportNotArchived(ReportError):
    """The archive did not take the report; says why in its own code."""


class ReportUncertain(ReportError):
    """The mail was on its way when the answer or the run was lost: it may have arrived."""
