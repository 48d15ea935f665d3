"""How long after a heart rate was measured its alert is accepted, while a whole fleet rides live.

The whole chain: simulator → Kafka → ingestor → Kafka → alerter → a double of SES over HTTP, which
takes as long to answer as SES does. Counted from the stamp of the telemetry line, which is a little
before the line's arrival in Kafka.
"""

import argparse
import asyncio
import statistics
import time
from collections import Counter

import asyncpg
import psutil

from benchmarks.latency import program
from benchmarks.system import System, cpu_seconds, machine, running_system
from tests.ses_double import AcceptedMail, SesDouble, running_ses_double

# Of the rides with episodes about one in four is in one at any time.
RIDES_WITH_EPISODES_SHARE = 0.04
SES_ANSWERS_AFTER_S = 0.05
# The services start and the fleet sits down; its first episodes come after that.
WARM_UP_S = 30.0

_ALERTS = "SELECT alert_id, level, state, measured_at, created_at FROM heart_rate_alerts"
# Of every ride in progress the newest reading of the last seconds, by the key alone.
_HEARTS = """
SELECT count(*) AS hearts, count(*) FILTER (
    WHERE bpm < 50 OR bpm >= 213 - 0.7 * extract(year FROM age(born_on))
) AS in_episode
FROM rides JOIN riders USING (rider_id) CROSS JOIN LATERAL (
    SELECT heart_rate_bpm AS bpm FROM readings
    WHERE readings.ride_id = rides.ride_id AND at > now() - interval '5 s'
    ORDER BY at DESC LIMIT 1
) AS newest
WHERE ended_at IS NULL AND bpm IS NOT NULL
"""


def fleet(bikes: int) -> tuple[str, ...]:
    """The simulator's command: a quarter of the abnormal hearts are slow ones."""
    abnormal = int(bikes * RIDES_WITH_EPISODES_SHARE)
    return (
        "bike_simulator",
        *("--bikes", str(bikes), "--back-to-back", "--live"),
        *("--dangerous-riders", str(abnormal * 3 // 4), "--faint-riders", str(abnormal // 4)),
    )


def alerter_environment(ses: SesDouble) -> dict[str, str]:
    """An account that may send 200 mails a second."""
    return {
        "MAIL_URL": "ses://eu-west-2",
        "MAIL_FROM": "Deloton <alerts@deloton.example>",
        "MAIL_RATE_PER_S": "200",
        "AWS_ENDPOINT_URL": ses.url,
        "AWS_ACCESS_KEY_ID": "benchmark",
        "AWS_SECRET_ACCESS_KEY": "benchmark",
    }


def alert_id_of(mail: AcceptedMail) -> int:
    """Which alert a mail is about: its Message-ID says so."""
    return int(mail.message["Message-ID"].split("@")[0].rpartition("-")[2])


async def measure(system: System, bikes: int, seconds: float) -> None:
    """Let the fleet ride, then print the tables."""
    url = await asyncio.to_thread(system.fresh_database)
    async with running_ses_double() as ses:
        ses.answers_after_s = SES_ANSWERS_AFTER_S
        with (
            program(system, url, "ingestor") as ingestor,
            program(system, url, "hr_alerter", **alerter_environment(ses)) as alerter,
            program(system, url, *fleet(bikes)) as simulator,
        ):
            await asyncio.sleep(WARM_UP_S)
            processes = {
                "alerter": alerter,
                "ingestor": ingestor,
                "simulator": simulator,
                "broker": psutil.Process(system.broker.pid),
                "PostgreSQL": psutil.Process(system.postgres.pid),
                "SES double (this program)": psutil.Process(),
            }
            before = {name: cpu_seconds(each) for name, each in processes.items()}
            begun = time.monotonic()
            looks, peak_mb = await look_on(url, alerter, seconds)
            lasted = time.monotonic() - begun
            cores = {
                name: (cpu_seconds(p) - before[name]) / lasted for name, p in processes.items()
            }
            mails = list(ses.accepted)
            connection = await asyncpg.connect(url)
            alerts = await connection.fetch(_ALERTS)
            await connection.close()
        report(bikes, alerts, mails)
    for row in looks:
        share = row["in_episode"] / max(1, row["hearts"])
        print(f"{row['hearts']:,} hearts were read at once, {share:.1%} of them in an episode.")
    print(f"\nThe alerter's memory: {peak_mb:.0f} MB at most.\n")
    print("| process | of a core |\n|---|--:|")
    for name, share in cores.items():
        print(f"| {name} | {share:.0%} |")


async def look_on(
    url: str, alerter: psutil.Process, seconds: float
) -> tuple[list[asyncpg.Record], float]:
    """For so long, note how many hearts are in an episode, and the alerter's largest memory."""
    connection = await asyncpg.connect(url)
    looks, peak_mb = [], 0.0
    until = time.monotonic() + seconds
    while (left_s := until - time.monotonic()) > 0:
        await asyncio.sleep(min(30.0, left_s))
        peak_mb = max(peak_mb, alerter.memory_info().rss / 1e6)
        looks += await connection.fetch(_HEARTS)
    await connection.close()
    return looks, peak_mb


def report(bikes: int, alerts: list[asyncpg.Record], mails: list[AcceptedMail]) -> None:
    """Print the delays in milliseconds, by level, and what became of the alerts."""
    by_id = {row["alert_id"]: row for row in alerts}
    delays: dict[str, list[float]] = {}
    for mail in mails:
        row = by_id[alert_id_of(mail)]
        delay = mail.at - row["measured_at"].timestamp()
        for name in ("all", row["level"]):
            delays.setdefault(name, []).append(delay)
        to_row = (row["created_at"] - row["measured_at"]).total_seconds()
        delays.setdefault("all, until the row", []).append(to_row)
        delays.setdefault("all, from the row", []).append(delay - to_row)
    repeated = len(mails) - len({alert_id_of(mail) for mail in mails})
    states = Counter(row["state"] for row in alerts)
    print(f"{bikes:,} bikes live; {machine()}\n")
    print("| alerts | mails | p50 ms | p99 ms | max ms |\n|---|--:|--:|--:|--:|")
    for name, seconds in delays.items():
        cuts = statistics.quantiles([*seconds, *seconds], n=100, method="inclusive")
        print(
            f"| {name} | {len(seconds)} | {cuts[49] * 1000:.0f} | {cuts[98] * 1000:.0f} "
            f"| {max(seconds) * 1000:.0f} |"
        )
    told = ", ".join(f"{count} {state}" for state, count in states.items())
    print(f"\nRows: {told}; mails repeated: {repeated}.")


def main() -> None:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bikes", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=150)
    options = parser.parse_args()
    with running_system() as system:
        asyncio.run(measure(system, options.bikes, options.seconds))


if __name__ == "__main__":
    main()
