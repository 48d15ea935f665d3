"""The family of errors.

```text
DelotonError
├── SettingsError         a setting is missing or cannot be meant
└── PartitionLost         another worker has claimed the partition; nothing was written
```

A line that cannot be used is not an error but a value: see `deloton.log_lines.Refusal`.
"""


class DelotonError(Exception):
    """Whatever this system raises on purpose."""


class SettingsError(DelotonError):
    """A setting is missing or cannot be meant; the message names each one."""


class PartitionLost(DelotonError):
    """Another worker has claimed the partition since; nothing was written."""

    def __init__(self, topic: str, partition: int) -> None:
        super().__init__(f"{topic}[{partition}] has been claimed by another worker")
        self.topic = topic
        self.partition = partition
