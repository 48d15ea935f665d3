"""SHELL: yesterday's report in the demo: sent once, when the fleet's history is stored."""

import asyncio
from pathlib import Path
from typing import Final

from demo.figures import FigureReader, Figures, read_or_none
from demo.processes import Program
from demo.supervision import Say

LOOK_EVERY_S: Final = 2.0
# The fleet sends its history in the order of time: a reading of now says that it is through.
NEWEST_AT_MOST_S: Final = 30.0
LAG_AT_MOST_LINES: Final = 500


async def send_yesterdays_report(
    reader: FigureReader, program: Program, folder: Path, inbox: str, say: Say
) -> None:
    """Wait for the history, run the reporter, and say where its PDF lies."""
    while not is_history_stored(await read_or_none(reader)):  # noqa: ASYNC110  nothing tells us
        await asyncio.sleep(LOOK_EVERY_S)
    program.start()
    if await program.wait() != 0:
        say(program.explain_end())
        return
    for pdf in pdfs_in(folder):
        say(f"Yesterday's report is in the inbox ({inbox}), and here: {pdf}")


def pdfs_in(folder: Path) -> list[Path]:
    """Return the reports that lie in a folder."""
    return sorted(folder.glob("*.pdf"))


def is_history_stored(figures: Figures | None) -> bool:
    """Say whether what the fleet played of the past is in the database."""
    if figures is None or figures.newest_reading_age_s is None:
        return False
    return figures.newest_reading_age_s < NEWEST_AT_MOST_S and figures.lag_lines < LAG_AT_MOST_LINES
