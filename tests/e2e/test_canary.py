"""The canary's ride goes through real programs: a mail comes of it, and silence where none can."""

import math
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from urllib.request import urlopen

import pytest
from prometheus_client.parser import text_string_to_metric_families

from deloton.rules.canary import CANARY_BIKE
from demo.ports import LOCALHOST, free_port
from demo.processes import Program, inherit_environment
from tests.e2e.ingestor_site import Site, fetch, wait_until
from tests.roles import as_role

pytestmark = pytest.mark.system


@dataclass
class Beating:
    """An ingestor, an alerter that writes mails into a folder, and a canary that reads them."""

    site: Site
    alerter: Program
    port: int

    def figure(self, name: str, **labels: str) -> float | None:
        """A figure of the canary's; None before it is told."""
        try:
            with urlopen(f"http://{LOCALHOST}:{self.port}/metrics") as page:
                families = text_string_to_metric_families(page.read().decode())
                samples = [one for family in families for one in family.samples]
        except OSError:
            return None
        found = [one.value for one in samples if one.name == name and one.labels == labels]
        return found[0] if found else None


@pytest.fixture
async def beating(site: Site) -> AsyncIterator[Beating]:
    site.start_worker()
    mails, port = site.folder / "mails", free_port()
    shared = {
        "KAFKA_BOOTSTRAP_SERVERS": site.broker.bootstrap_servers,
        "RAW_TOPIC": site.raw_topic,
        "HEART_RATES_TOPIC": site.heart_rates_topic,
    }
    alerter = inherit_environment(
        **shared,
        DATABASE_URL=as_role(site.database_url, "hr_alerter"),
        ALERTER_GROUP=f"hr-alerter-{site.name}",
        SESSION_TIMEOUT_S="1.5",
        METRICS_PORT=str(free_port()),
        MAIL_URL=f"file://{mails}",
        MAIL_FROM="Deloton <alerts@deloton.example>",
    )
    canary = inherit_environment(
        **shared,
        METRICS_PORT=str(port),
        CANARY_INBOX=f"file://{mails}",
        CANARY_MAILBOX="canary@deloton.example",
        CANARY_EVERY_S="5",
        CANARY_PATIENCE_S="60",
    )
    programs = [
        Program(
            site.guardian,
            module,
            [sys.executable, "-m", module],
            site.folder / f"{module}.log",
            environment=environment,
        )
        for module, environment in (("hr_alerter", alerter), ("deloton.canary", canary))
    ]
    for program in programs:
        program.start()
    yield Beating(site, programs[0], port)
    for program in programs:
        program.kill()


async def test_a_mail_comes_of_the_canarys_ride_and_silence_where_nobody_mails(
    beating: Beating,
) -> None:
    def beats(end: str) -> float:
        return beating.figure("canary_beats_total", end=end) or 0

    async def mailed() -> bool:
        return beats("mail") >= 1

    await wait_until(mailed)
    assert (beating.figure("canary_end_to_end_seconds_sum") or 0) > 0
    rides = await fetch(beating.site, "SELECT DISTINCT bike_serial FROM rides")
    assert [row["bike_serial"] for row in rides] == [CANARY_BIKE]
    beating.alerter.kill()
    before = beats("silence")

    async def silent() -> bool:
        return beats("silence") > before

    await wait_until(silent)
    last = beating.figure("canary_last_seconds")
    assert last is not None
    assert math.isnan(last)
