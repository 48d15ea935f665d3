"""What the transport reaches into is looked for at the start, and what is missing is named."""

import pytest

from ingestor.internals import USED, refuse_unknown_internals


class Changed:
    """A class of a library's newer version."""

    def __init__(self) -> None:
        self.kept = 1

    def called(self) -> None:
        """Still there."""


def test_the_locked_versions_are_as_the_transport_knows_them() -> None:
    refuse_unknown_internals()


def test_what_is_set_or_defined_is_found_and_what_is_not_is_named() -> None:
    with pytest.raises(RuntimeError, match=r"missing: [\w.]*Changed\._gone\. Install the"):
        refuse_unknown_internals({Changed: ("kept", "called", "_gone")})


def test_every_name_is_looked_for_on_its_own_class() -> None:
    for owner, names in USED.items():
        renamed = {owner: tuple(f"{name}_of_another_version" for name in names)}
        with pytest.raises(RuntimeError) as refused:
            refuse_unknown_internals(renamed)
        assert all(name in str(refused.value) for name in renamed[owner])
