"""CORE: who the canary is: a bike and riders of no flesh, whose mails prove that riders are warned.

No figure, page, report or answer knows of them: PostgreSQL hides their rows from those who show or
count (migration `canary`), and what has the owner's rights has to leave them out by itself.
"""

from typing import Final

CANARY_BIKE: Final = "CANARY"
# From here to the end of bigint: nobody gives riders such numbers.
FIRST_CANARY_RIDER_ID: Final = 9_000_000_000_000_000_000
