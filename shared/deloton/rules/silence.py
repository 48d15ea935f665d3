"""CORE: how long a bike says nothing before its ride is held to be over.

A bike sends a line each half second, and its next ride begins two seconds after the last one.
What silence does to a ride is told in `deloton.feed.assembly`.
"""

from datetime import timedelta
from typing import Final

SILENCE: Final = timedelta(seconds=30)
# The same in SQL, and in words.
SILENCE_SQL: Final = f"interval '{SILENCE.total_seconds():g} seconds'"
SILENCE_WORDS: Final = f"{SILENCE.total_seconds():g} s"
