"""CORE: the family of errors.

```text
DelotonError
├── SettingsError         a setting is missing or cannot be meant
├── DatabaseIsNewer       the database has a migration that this version does not know
├── VersionUnknown        the database does not tell which migration it is at
├── PartitionLost         another worker has claimed the partition; nothing was written
└── MailError             a mail was not surely accepted
    ├── MailThrottled     we send too fast, or more than we may: slow down, send it again
    ├── MailUnavailable   the provider is away, or does not know us: send it again later
    ├── MailRefused       this message or address is refused for good
    │   └── AddressRefused    there is no such mailbox: no message will ever be taken for it
    └── MailUnknown       it was handed over and the answer is lost: it may have been accepted
```

A line that cannot be used is not an error but a value: see `deloton.feed.log_lines.Refusal`.
"""

from collections.abc import Sequence


class DelotonError(Exception):
    """Whatever this system raises on purpose."""


class SettingsError(DelotonError):
    """A setting is missing or cannot be meant; the message names each one."""


class DatabaseIsNewer(DelotonError):
    """The database was migrated by a later version; nothing was done."""

    def __init__(self, there: str, newest: str) -> None:
        super().__init__(
            f"the database is at migration {there}, and this version knows them up to {newest}: "
            "migrate with the version that brought it there, or a later one"
        )


class VersionUnknown(DelotonError):
    """The database does not tell which migration it is at; nothing was done."""

    def __init__(self, told: Sequence[str]) -> None:
        told_of = f"of {len(told)} migrations ({', '.join(told)})" if told else "of none"
        super().__init__(
            f"the database has our tables, and alembic_version tells {told_of} where it should "
            "tell of one: restore that table from a backup, or put the migration there that the "
            "database is at"
        )


class PartitionLost(DelotonError):
    """Another worker has claimed the partition since; nothing was written."""

    def __init__(self, topic: str, partition: int) -> None:
        super().__init__(f"{topic}[{partition}] has been claimed by another worker")
        self.topic = topic
        self.partition = partition


class MailError(DelotonError):
    """A mail was not surely accepted; says why in the provider's own code, without any address."""


class MailThrottled(MailError):
    """We send too fast, or more than we may: slow down and send it again."""


class MailUnavailable(MailError):
    """The provider is away or does not know us: send it again later."""


class MailRefused(MailError):
    """This message or its address is refused for good; others may pass."""


class AddressRefused(MailRefused):
    """The recipient's server has no such mailbox: no message will ever be taken for it."""


class MailUnknown(MailError):
    """The mail was handed over and the answer is lost: it may have been accepted."""
