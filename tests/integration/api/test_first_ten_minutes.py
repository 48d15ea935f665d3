"""A partner's first ten minutes, word for word as the README has them."""

import asyncio
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from api.access.credentials import Scope
from tests.integration.api.served import Served

REPOSITORY = Path(__file__).parents[3]
README = (REPOSITORY / "services" / "api" / "README.md").read_text()
MINUTES = README.partition("## A partner's first ten minutes")[2].partition("\n## ")[0]
STEPS = re.findall(r"^```bash\n(.*?)^```$", MINUTES, re.MULTILINE | re.DOTALL)
END = (
    "UPDATE rides SET ended_at = started_at + interval '100 s', end_reason = 'silence'"
    " WHERE ended_at IS NULL"
)

pytestmark = pytest.mark.system  # It needs curl and jq.


async def walk(served: Served, folder: Path, steps: list[str]) -> list[str]:
    """What each step prints, in one shell; a ride ends whenever one goes on."""
    begun, *others = steps
    key = await served.make_key(Scope.READ)
    begun = re.sub(r"^export (KEY|API)=.*\n", "", begun, flags=re.MULTILINE)
    between = "\necho --step--\n"
    shell = await asyncio.create_subprocess_exec(
        *("bash", "-c", between.join([begun, *others])),
        env={**os.environ, "KEY": key, "API": served.url, "PYTHONPATH": str(folder)},
        cwd=folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    riding = asyncio.create_task(ride_on(served))
    try:
        printed, _ = await shell.communicate()
    finally:
        riding.cancel()
    return printed.decode().split("--step--\n")


async def ride_on(served: Served) -> None:
    """Let rides begin and end for as long as this lasts."""
    while True:
        await served.execute(END)
        await asyncio.sleep(0.2)
        await served.execute(
            "INSERT INTO rides (rider_id, bike_serial, started_at)"
            " SELECT 7002, 'SN2', max(started_at) + interval '200 s' FROM rides"
        )
        await asyncio.sleep(0.2)


async def test_a_partners_first_ten_minutes_are_as_they_are_told(
    fresh: Served, tmp_path: Path
) -> None:
    *asked, client = STEPS
    made = [REPOSITORY / "tools" / "make-client", tmp_path / "deloton_client"]
    subprocess.run(made, check=True)
    # Installing the generator and generating is what `make-client` does.
    python = client[client.index("python -c") :].replace("python -c", f"{sys.executable} -c", 1)
    printed = await walk(fresh, tmp_path, [*asked, python])
    assert len(printed) == 8
    first, pages, ride, unchanged, changes, live, wrong, typed = printed
    assert '"mean_power_watts":' in first
    assert re.match(r"^(\[\d+(,\d+)*\]\n)+ride_id,status,bike_serial,", pages)
    assert '"best_powers": [' in ride
    assert '{"at":["' in ride
    [file] = tmp_path.glob("ride-*.fit")
    assert file.read_bytes()[8:12] == b".FIT"
    assert unchanged == "304\n"
    assert re.match(r'^\[\d+,"ride.ended",\d+\]', changes)
    assert "event: " in live
    assert '"type": "/problems/unknown-parameter"' in wrong
    assert len(typed.splitlines()) == 3
