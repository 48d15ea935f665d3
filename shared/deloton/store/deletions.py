"""EDGE: the lock by which deletions and the storing of readings are kept apart.

So neither misses the other: readings are stored by the ride's number, without a look at the ride.
Who stores holds the empty table `deletion_turns` in a way that others who store may too, until its
transaction ends, and who deletes holds it alone: a deletion finds all that was stored before it,
and whoever stores after it finds the deletion (`deleted_rides`). A table's lock asks for rights on
the table: nobody takes it who only reads.
"""

from typing import Final

STORING: Final = "LOCK TABLE deletion_turns IN ROW EXCLUSIVE MODE"
DELETING: Final = "LOCK TABLE deletion_turns IN EXCLUSIVE MODE"
# Ingestors of the version before share this advisory lock; who deletes keeps them out as well.
LOCK_OF_THE_VERSION_BEFORE: Final = 0x64_65_6C_65
# Who deletes waits behind who stores, and others who store wait behind that: not for long.
LONGEST_WAIT: Final = "5s"
