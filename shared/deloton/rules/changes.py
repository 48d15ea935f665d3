"""CORE: what the feed of changes tells of: by it a copy of rides and riders is kept right."""

from enum import StrEnum


class ChangeKind(StrEnum):
    """What became of a ride or a rider; what it is like now, the API tells."""

    RIDE_ENDED = "ride.ended"
    RIDE_AMENDED = "ride.amended"
    RIDE_RESUMED = "ride.resumed"
    RIDE_DELETED = "ride.deleted"
    RIDER_CHANGED = "rider.changed"
    RIDER_ERASED = "rider.erased"
