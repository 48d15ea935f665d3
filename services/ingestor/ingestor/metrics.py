"""EDGE: what Prometheus reads at /metrics."""

from collections.abc import Callable

from prometheus_client import Counter, Gauge, Histogram

from deloton.rules.whose import Whose
from ingestor.standing import Standing

LINES = Counter("ingestor_lines", "Log lines read from Kafka", ["partition"])
READINGS = Counter(
    "ingestor_readings", "Readings stored, by whose bike: a rider's, sandbox, canary", ["whose"]
)
RIDES = Counter("ingestor_rides_started", "Rides begun")
RIDES_PACKED = Counter("ingestor_rides_packed", "Rides whose readings were packed into a series")
RIDES_TO_PACK = Gauge("ingestor_rides_to_pack", "Rides that have ended and wait to be packed")
RIDES_NOT_PACKED = Gauge(
    "ingestor_rides_not_packed", "Rides that cannot be packed: rides_to_pack says why"
)
DAYS_NOT_DROPPED = Gauge(
    "ingestor_reading_days_not_dropped",
    "Days past READINGS_HOT_HOURS whose rows cannot be dropped: the log says why",
)
BEYOND_RETENTION = Counter(
    "ingestor_rides_beyond_retention",
    "Rides told again whose readings are gone: nothing of them was stored",
)
HEART_RATES = Counter("ingestor_heart_rates", "Heart rates sent to Kafka")
REPEATS = Counter("ingestor_repeated_lines", "Lines that told nothing new and were dropped")
DEAD_LETTERS = Counter("ingestor_dead_letters", "Lines refused, by reason", ["reason"])
TWO_BIKES = Counter(
    "ingestor_two_bikes_lines", "Lines refused because two bikes share their message's key"
)
REFUSED_BY_DATABASE = Counter(
    "ingestor_refused_by_database",
    "Lines, and ends of rides, that PostgreSQL refused, by SQLSTATE",
    ["sqlstate"],
)
BATCHES = Counter("ingestor_batches", "Batches stored", ["partition"])
BATCH_LINES = Histogram(
    "ingestor_batch_lines", "Lines a batch", buckets=(1, 10, 100, 1_000, 5_000, 10_000, 20_000)
)
BATCH_SECONDS = Histogram(
    "ingestor_batch_seconds",
    "From the start of a batch to its commit",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60),
)
LAG = Gauge(
    "ingestor_lag", "Records in Kafka that are not yet stored; NaN where not known", ["partition"]
)
SECONDS_BEHIND = Gauge(
    "ingestor_seconds_behind",
    "Age of the newest record stored, by Kafka's time stamp; 0 where nothing waits, NaN: not known",
    ["partition"],
)
OPEN_RIDES = Gauge("ingestor_open_rides", "Rides in progress", ["partition"])
RETRIES = Counter("ingestor_retries", "Attempts that failed and were repeated", ["what"])
FAILING_SECONDS = Gauge(
    "ingestor_failing_seconds",
    "For how long something that the work needs has been failing, or 0",
)

# That none comes is seen of what is told, not of what is not there yet.
for _whose in Whose:
    READINGS.labels(_whose)


def tell_of_partition(
    partition: int, standing: Callable[[], Standing], open_rides: Callable[[], int]
) -> None:
    """Report a partition, reckoned whenever it is asked for: who waits cannot tell how it is."""
    label = str(partition)
    LAG.labels(label).set_function(lambda: standing().lag)
    SECONDS_BEHIND.labels(label).set_function(lambda: standing().seconds_behind)
    OPEN_RIDES.labels(label).set_function(open_rides)


def forget_partition(partition: int) -> None:
    """Stop reporting a partition that is not ours any more."""
    for metric in (LAG, SECONDS_BEHIND, OPEN_RIDES):
        metric.remove(str(partition))
