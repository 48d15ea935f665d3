"""CORE: what can keep the demo from running, each said in one sentence.

DemoError
├── AlreadyRunning      another demo holds the run directory
├── FolderNotWritable   the run directory cannot be made
├── PortInUse           something else listens where a server should
├── ProgramMissing      a server's program is not installed
└── ProgramFailed       a program ended, or did not get ready in time
"""


class DemoError(Exception):
    """Something a person can mend; its text says what, and is shown without a trace."""


class AlreadyRunning(DemoError):
    """Another demo holds the run directory."""


class FolderNotWritable(DemoError):
    """The run directory cannot be made or written."""


class PortInUse(DemoError):
    """Something else listens where a server should."""


class ProgramMissing(DemoError):
    """A server's program is not installed."""


class ProgramFailed(DemoError):
    """A program ended, or did not get ready in time."""
