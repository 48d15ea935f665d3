"""EDGE: what Prometheus reads at /metrics."""

from collections.abc import Iterable

from prometheus_client import Counter, Gauge, Histogram

from deloton.rules.heart_rate import AlertLevel
from deloton.rules.whose import Whose, whose_rider
from hr_alerter.alerts import AlertState, MailKind

SAMPLES = Counter("hr_alerter_samples", "Heart rates read from Kafka")
UNREADABLE = Counter("hr_alerter_unreadable_messages", "Messages that are no heart rates")
RIDES = Gauge("hr_alerter_watched_rides", "Rides of which something came of late", ["partition"])
LAG = Gauge(
    "hr_alerter_lag", "Records in Kafka that are not yet decided; NaN: not known", ["partition"]
)
ALERTS = Counter(
    "hr_alerter_alerts",
    "Alerts by level, state and whose: pending when stored, then what became of them",
    ["level", "state", "whose"],
)
RECOVERIES = Counter(
    "hr_alerter_recoveries",
    "That riders are out of danger, by state: pending when stored, then what became of the mails",
    ["state"],
)
SUPPRESSED = Counter("hr_alerter_suppressed_alerts", "Alerts whose rider was told already")
LATENCY_SECONDS = Histogram(
    "hr_alerter_latency_seconds",
    "From the reading to the mail provider's acceptance",
    buckets=(0.1, 0.25, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10, 30, 60, 120),
)
ATTEMPTS = Counter("hr_alerter_mail_attempts", "Tries to send a mail, by what came of it", ["end"])
OVERTAKEN = Counter(
    "hr_alerter_overtaken_alerts", "Mails that another settled while we had them under way"
)
REFUSED_ADDRESSES = Counter(
    "hr_alerter_refused_addresses",
    "Addresses that take no mail any more: bounced for good, or their owner complained",
    ["state", "whose"],
)
FEEDBACK = Counter(
    "hr_alerter_mail_feedback", "What the provider told of mails it had accepted, by kind", ["kind"]
)
WAITING = Gauge("hr_alerter_mails_waiting", "Mails that wait for their turn or their next try")
RETRIES = Counter("hr_alerter_retries", "Other steps that failed and were repeated", ["what"])
FAILING_SECONDS = Gauge(
    "hr_alerter_failing_seconds",
    "For how long something that the work needs has been failing, or 0",
)

# Their first is a rise only to who has seen 0 before.
for _level in AlertLevel:
    for _state in (AlertState.FAILED, AlertState.EXPIRED, AlertState.UNKNOWN):
        ALERTS.labels(_level, _state, Whose.RIDER)
for _state in (AlertState.BOUNCED, AlertState.COMPLAINED):
    REFUSED_ADDRESSES.labels(_state, Whose.RIDER)


def count(kind: MailKind, level: AlertLevel | str, state: AlertState | str, whose: Whose) -> None:
    """Count a mail that came into a state."""
    if kind is MailKind.RECOVERY:
        RECOVERIES.labels(state).inc()
    else:
        ALERTS.labels(level, state, whose).inc()


def count_refused(riders: Iterable[int], state: AlertState) -> None:
    """Count the riders whose address takes no mail any more."""
    for rider_id in riders:
        REFUSED_ADDRESSES.labels(state, whose_rider(rider_id)).inc()


def forget_partition(partition: int) -> None:
    """Stop reporting a partition that another alerter owns now."""
    for metric in (LAG, RIDES):
        metric.remove(str(partition))
