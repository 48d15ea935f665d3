"""CORE: what bikes send, from a raw log line to the rides and readings that it belongs to."""
