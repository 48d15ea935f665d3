"""CORE: what can keep a report from its reader.

```text
DelotonError
└── ReportError
    ├── ReportNotDrawn       something of it could not be drawn
    ├── ReportNotMailed      the mail was not accepted
    ├── ReportNotArchived    the archive did not take it
    └── ReportUncertain      the mail was on its way when the answer or the run was lost
```
"""

from deloton.errors import DelotonError


class ReportError(DelotonError):
    """A report that did not reach its reader."""


class ReportNotDrawn(ReportError):
    """Something of the report could not be drawn; the message says what."""


class ReportNotMailed(ReportError):
    """The mail was not accepted; says why in the provider's own code."""


class ReportNotArchived(ReportError):
    """The archive did not take the report; says why in its own code."""


class ReportUncertain(ReportError):
    """The mail was on its way when the answer or the run was lost: it may have arrived."""
