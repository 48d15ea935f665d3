"""SHELL: what the demo runs, as a table: one row a service, in the order of starting.

A new service is a new row here and, where a person opens it, a `Port` in `settings`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from demo import settings as chosen
from demo.company_time import TIME_ZONE
from demo.ports import LOCALHOST
from demo.settings import Settings

RAW_TOPIC = "deloton"
RAW_TOPIC_PARTITIONS = 8
DEAD_LETTERS_TOPIC = "dead-letters"
# Between asking a service to end and killing it.
STOPS_WITHIN_S = 10.0


@dataclass(frozen=True)
class Service:
    """One program: `python -m <module> <arguments>` with names of its own in the environment.

    `role` is the one that it logs in to PostgreSQL with. `again` replaces the arguments when it
    is started again after it ended. `page` is what a person opens, `health` answers 200 when all
    is well.
    """

    name: str
    module: str
    role: str | None = None
    arguments: tuple[str, ...] = ()
    again: tuple[str, ...] | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    page: str | None = None
    health: str | None = None


def make_services(settings: Settings) -> list[Service]:
    """Return the table; services stop in the reverse order."""
    ingestor = f"http://{LOCALHOST}:{settings.port(chosen.INGESTOR)}"
    dashboard = f"http://{LOCALHOST}:{settings.port(chosen.DASHBOARD)}"
    alerter = f"http://{LOCALHOST}:{settings.port(chosen.ALERTER)}"
    inbox = f"http://{LOCALHOST}:{settings.port(chosen.INBOX)}"
    canary = f"http://{LOCALHOST}:{settings.port(chosen.CANARY)}"
    api = f"http://{LOCALHOST}:{settings.port(chosen.API)}"
    webhooks = f"http://{LOCALHOST}:{settings.port(chosen.WEBHOOKS)}"
    fleet = (
        f"--bikes={settings.bikes}",
        f"--seed={settings.seed}",
        f"--faults={settings.faults}",
        f"--dangerous-share={settings.dangerous_share}",
        f"--first-danger={settings.first_danger}",
        # Nights are quiet: some bikes never rest, so that there is always something to see.
        "--round-the-clock=4",
        # What the page of bikes and the report then tell of.
        "--broken-power-sensors=2",
        "--live",
        *(("--back-to-back",) if settings.back_to_back else ()),
    )
    # What sandbox keys see; few, and always riding.
    sandbox = (
        "--sandbox",
        "--bikes=3",
        f"--seed={settings.seed + 1}",
        "--dangerous-share=0.1",
        "--back-to-back",
        "--live",
    )
    return [
        Service(
            "inbox",
            "demo.inbox",
            arguments=(
                f"--folder={settings.mails}",
                f"--smtp-port={settings.port(chosen.INBOX_SMTP)}",
                f"--port={settings.port(chosen.INBOX)}",
            ),
            page=inbox,
            health=f"{inbox}/health",
        ),
        Service(
            "ingestor",
            "ingestor",
            role="ingestor",
            environment={
                "METRICS_PORT": str(settings.port(chosen.INGESTOR)),
                # This broker lets a group's first join last as long as a session may be silent.
                "SESSION_TIMEOUT_S": "3",
            },
            page=f"{ingestor}/metrics",
            health=f"{ingestor}/health",
        ),
        Service(
            "hr-alerter",
            "hr_alerter",
            role="hr_alerter",
            environment={
                "METRICS_PORT": str(settings.port(chosen.ALERTER)),
                "SESSION_TIMEOUT_S": "3",
                "MAIL_FROM": "Deloton <alerts@deloton.example>",
            },
            page=f"{alerter}/metrics",
            health=f"{alerter}/health",
        ),
        Service(
            "canary",
            "deloton.canary",
            environment={
                "METRICS_PORT": str(settings.port(chosen.CANARY)),
                "CANARY_INBOX": f"file://{settings.mails}",
                "CANARY_MAILBOX": "canary@deloton.example",
            },
            page=f"{canary}/metrics",
            # While history is stored no mail comes of its rides.
            health=f"{canary}/health",
        ),
        Service(
            "dashboard",
            "dashboard",
            role="dashboard",
            environment={"PORT": str(settings.port(chosen.DASHBOARD))},
            page=dashboard,
            health=f"{dashboard}/_stcore/health",
        ),
        # On AWS a scheduled task; here it goes on by itself.
        Service(
            "analytics",
            "deloton.analytics",
            role="star_refresher",
            arguments=("refresh", "--every=30"),
        ),
        Service(
            "api",
            "api",
            role="api",
            environment={
                "PORT": str(settings.port(chosen.API)),
                "EXPORT_STORE": settings.exports.absolute().as_uri(),
            },
            page=f"{api}/docs",
            health=f"{api}/health/ready",
        ),
        Service(
            "webhooks",
            "api.webhooks",
            role="api",
            environment={"METRICS_PORT": str(settings.port(chosen.WEBHOOKS))},
            page=f"{webhooks}/metrics",
            health=f"{webhooks}/health",
        ),
        Service(
            "bike-simulator",
            "bike_simulator",
            arguments=(*fleet, f"--since={settings.since}"),
            # Its history is in Kafka already: it goes on from now.
            again=fleet,
        ),
        Service(
            "sandbox-fleet",
            "bike_simulator",
            arguments=(*sandbox, f"--since={settings.since}"),
            again=sandbox,
        ),
    ]


def shared_environment(
    settings: Settings, database_url: str, bootstrap_servers: str
) -> dict[str, str]:
    """Return the names every service gets: they mean the same everywhere.

    All are set, so that what the person's own shell holds for another system is not used.
    """
    return {
        "DATABASE_URL": database_url,
        "KAFKA_BOOTSTRAP_SERVERS": bootstrap_servers,
        "KAFKA_SECURITY_PROTOCOL": "PLAINTEXT",
        "LISTEN_ADDRESS": LOCALHOST,
        "RAW_TOPIC": RAW_TOPIC,
        "HEART_RATES_TOPIC": "heart-rates",
        "RIDE_EVENTS_TOPIC": "ride-events",
        "DEAD_LETTERS_TOPIC": DEAD_LETTERS_TOPIC,
        "MAIL_URL": f"smtp://{LOCALHOST}:{settings.port(chosen.INBOX_SMTP)}",
        "MAIL_FROM": "Deloton <hello@deloton.example>",
        "CEO_EMAIL": "ceo@deloton.example",
        "OPERATIONS_EMAIL": "operations@deloton.example",
        "REPORT_REPLY_TO": "",
        # The demo's links lead to this machine, whoever knows the key.
        "ALERT_LINK_KEYS": "signs-the-links-of-the-demos-mails",
        "ALERT_LINK_URL": f"http://{LOCALHOST}:{settings.port(chosen.API)}",
        # Partners' endpoints may be on this machine.
        "WEBHOOK_PRIVATE_HOSTS": f"localhost,{LOCALHOST}",
        # Nothing is archived: the PDF lies in the demo's own folder.
        "REPORT_BUCKET": "",
        "READINGS_RETENTION_DAYS": "0",
        "PACK_AFTER_S": "60",
        "READINGS_HOT_HOURS": "12",
        "TIME_ZONE": TIME_ZONE.key,
        "LOG_LEVEL": "INFO",
        "STOP_TIMEOUT_S": f"{STOPS_WITHIN_S:g}",
        "PYTHONUNBUFFERED": "1",
    }
