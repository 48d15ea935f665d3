"""EDGE: the lock by which deletions and the storing of readings are kept apart.

So neither misses the other: readings are stored by the ride's number, without a look at the ride.
Who stores holds this lock shared until its transaction ends, and who deletes holds it alone: a
deletion finds all that was stored before it, and whoever stores after it finds the deletion
(`deleted_rides`).
"""

from typing import Final

# Any number that nothing else in the database locks.
DELETIONS_LOCK: Final = 0x64_65_6C_65
# Who deletes waits behind who stores, and others who store wait behind that: not for long.
LONGEST_WAIT: Final = "5s"
