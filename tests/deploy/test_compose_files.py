"""docker-compose.yml and its monitoring say what fits together; no engine is needed to see it.

`make lint` holds docker-compose.yml against its specification, `make test-compose` starts it.
"""

import json
import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import REGISTRY

import api.web.metrics
import api.webhooks.metrics
import dashboard.database
import deloton.canary.metrics
import hr_alerter.metrics
import ingestor.metrics
from api.web.metrics import LIMITS_SHARED, LISTENERS, SECONDS
from deloton.store.roles import SERVICE_ROLES
from deploy.ecs.environment import STACKS_WITH_TASKS

REPOSITORY = Path(__file__).parents[2]
MONITORING = REPOSITORY / "deploy" / "compose"
COMPOSE: dict[str, Any] = yaml.safe_load((REPOSITORY / "docker-compose.yml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
OURS = [name for name, service in SERVICES.items() if "deloton/" in service["image"]]
METRICS_OF = (
    api.web.metrics,
    api.webhooks.metrics,
    dashboard.database,
    deloton.canary.metrics,
    hr_alerter.metrics,
    ingestor.metrics,
)


def known_series() -> set[str]:
    """The names of all series that our services tell, and Prometheus' own."""
    assert METRICS_OF
    names = {"up"}
    for family in REGISTRY.collect():
        endings = {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum")}
        names |= {family.name + ending for ending in endings.get(family.type, ("",))}
    return names


def series_of(expression: str) -> set[str]:
    """The series that an expression of PromQL asks for: what is no function, label or word."""
    without_labels = re.sub(r"\{[^}]*\}|by \([^)]*\)|\[[^]]*\]", "", expression)
    return set(re.findall(r"[a-z_]{2,}(?![a-z_(]*\s*\()", without_labels)) - {"by", "or"}


def panels() -> Iterator[tuple[str, str]]:
    """Each question of Grafana's dashboard, with its panel's title."""
    page = json.loads((MONITORING / "grafana" / "dashboards" / "deloton.json").read_text())
    for panel in page["panels"]:
        for target in panel["targets"]:
            yield panel["title"], target["expr"]


def rules() -> Iterator[tuple[str, str]]:
    """Each rule of Prometheus, with its alert's name."""
    for group in yaml.safe_load((MONITORING / "alerts.yml").read_text())["groups"]:
        for rule in group["rules"]:
            yield rule["alert"], rule["expr"]


@pytest.mark.parametrize("name", SERVICES)
def test_what_a_service_waits_for_mounts_and_joins_is_there(name: str) -> None:
    service = SERVICES[name]
    assert set(service.get("depends_on", ())) <= SERVICES.keys()
    assert set(service["networks"]) <= COMPOSE["networks"].keys()
    for mount in service.get("volumes", ()):
        source = mount.split(":")[0]
        is_there = (REPOSITORY / source).exists() if "/" in source else source in COMPOSE["volumes"]
        assert is_there, source


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_that_is_waited_for_can_say_that_it_is_ready(name: str) -> None:
    for waiting in SERVICES.values():
        asked = waiting.get("depends_on", {})
        if isinstance(asked, dict) and asked.get(name, {}).get("condition") == "service_healthy":
            assert "test" in SERVICES[name]["healthcheck"]


@pytest.mark.parametrize("name", SERVICES)
def test_every_image_can_be_another_and_every_port_stays_on_this_machine(name: str) -> None:
    assert SERVICES[name]["image"].startswith("${")
    assert all(port.startswith("127.0.0.1:${") for port in SERVICES[name].get("ports", ()))


@pytest.mark.parametrize("name", OURS)
def test_our_containers_write_nothing_and_may_do_nothing_special(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    command = service.get("command", [])
    modules = re.findall(r"-m,? ([\w.]+)", " ".join(command))
    assert all(find_spec(module) for module in modules), modules


def test_each_service_logs_in_to_the_database_with_its_own_role() -> None:
    roles = {
        name: re.findall(r"postgresql://(\w+):", service["environment"].get("DATABASE_URL", ""))
        for name, service in SERVICES.items()
        if name in OURS
    }
    own = {role.replace("_", "-"): [role] for role in SERVICE_ROLES if role != "star_refresher"}
    others = {"migrate": ["deloton"], "analytics": ["star_refresher"], "webhooks": ["api"]}
    none = ("bike-simulator", "sandbox-fleet", "bucket", "canary")
    assert roles == own | others | {name: [] for name in none}
    given = {f"{role.upper()}_DATABASE_PASSWORD" for role in SERVICE_ROLES}
    assert given < SERVICES["migrate"]["environment"].keys()


def test_what_has_no_stack_plays_the_outside_world_or_stands_for_a_part_of_aws() -> None:
    assert set(OURS) - set(STACKS_WITH_TASKS) == {"bike-simulator", "sandbox-fleet", "bucket"}
    told = (REPOSITORY / "docs" / "operations.md").read_text()
    assert "The sandbox's fleet has no stack" in told


@pytest.mark.parametrize(("title", "expression"), [*panels(), *rules()])
def test_what_grafana_and_the_alerts_ask_for_is_told_by_a_service(
    title: str, expression: str
) -> None:
    assert series_of(expression), title
    assert series_of(expression) <= known_series()


def test_whatever_the_api_tells_of_itself_is_shown_and_unshared_limits_are_an_alert() -> None:
    told = {
        family.name for metric in (SECONDS, LIMITS_SHARED, LISTENERS) for family in metric.collect()
    }
    shown = {series for _, expression in panels() for series in series_of(expression)}
    assert {name.removesuffix("_bucket").removesuffix("_count") for name in shown} >= told
    assert dict(rules())["LimitsNotShared"] == "min(api_limits_shared) < 1"


@pytest.mark.parametrize(("alert", "expression"), [*rules()])
def test_an_alert_looks_at_real_riders_alone_where_a_metric_tells_them_apart(
    alert: str, expression: str
) -> None:
    told_apart = {
        f"{family.name}_total"
        for family in REGISTRY.collect()
        if any("whose" in sample.labels for sample in family.samples)
    }
    assert {"ingestor_readings_total", "hr_alerter_alerts_total"} < told_apart
    selectors = re.findall(r"([a-z_]+)(\{[^}]*\})?", expression)
    asked = {name: labels for name, labels in selectors if name in told_apart}
    assert all('whose="rider"' in labels for labels in asked.values()), alert


def test_prometheus_asks_services_that_are_there_at_the_ports_they_have() -> None:
    asked = yaml.safe_load((MONITORING / "prometheus.yml").read_text())
    assert asked["rule_files"] == ["/etc/prometheus/alerts.yml"]
    for job in asked["scrape_configs"]:
        [target] = job["static_configs"][0]["targets"]
        name, port = target.split(":")
        assert job["job_name"] == name
        assert [published.rpartition(":")[2] for published in SERVICES[name]["ports"]] == [port]


def test_grafana_finds_its_source_and_its_dashboards_where_they_are_mounted() -> None:
    provisioning = MONITORING / "grafana" / "provisioning"
    sources = yaml.safe_load((provisioning / "datasources" / "prometheus.yml").read_text())
    [source] = sources["datasources"]
    assert source["url"] == "http://prometheus:9090"
    page = json.loads((MONITORING / "grafana" / "dashboards" / "deloton.json").read_text())
    assert {panel["datasource"]["uid"] for panel in page["panels"]} == {source["uid"]}
    assert len({panel["id"] for panel in page["panels"]}) == len(page["panels"])
    providers = yaml.safe_load((provisioning / "dashboards" / "deloton.yml").read_text())
    path = providers["providers"][0]["options"]["path"]
    assert f"./deploy/compose/grafana/dashboards:{path}:ro" in SERVICES["grafana"]["volumes"]
