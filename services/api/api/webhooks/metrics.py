"""EDGE: what Prometheus reads at /metrics."""

from prometheus_client import Counter, Gauge, Histogram

TRIES = Counter("webhooks_tries", "Tries to deliver a message, by what came of it", ["end"])
MESSAGES = Counter("webhooks_messages", "Messages that were settled, by how", ["state"])
SWITCHED_OFF = Counter("webhooks_switched_off", "Webhooks that were switched off, by why", ["why"])
WAITING = Gauge("webhooks_waiting", "Messages that wait for endpoints that take them")
SECONDS_BEHIND = Gauge("webhooks_seconds_behind", "The age of the oldest of them")
ANSWER_SECONDS = Histogram(
    "webhooks_answer_seconds",
    "From a try's beginning to its end",
    buckets=(0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15),
)
FAILING_SECONDS = Gauge("webhooks_failing_seconds", "For how long the database has failed, or 0")
