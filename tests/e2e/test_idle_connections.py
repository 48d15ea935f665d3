"""Who closes an idle connection: never we before the load balancer, which would tell of a 502."""

import sys
import time
from http.client import HTTPConnection
from pathlib import Path

import httpx
import pytest
from cfnlint.decode import cfn_yaml

from demo.guardian import Guardian
from demo.ports import LOCALHOST, free_port
from demo.processes import Program, inherit_environment
from deploy.ecs.environment import template_of
from tests.roles import as_role

pytestmark = pytest.mark.system

PAGES = {"api": "/health/live", "dashboard": "/_stcore/health"}


def balancers_patience_s() -> float:
    """How long the load balancer keeps a connection on which nothing is said."""
    balancer = cfn_yaml.loads(template_of("cluster"))["Resources"]["LoadBalancer"]["Properties"]
    attributes = {each["Key"]: each["Value"] for each in balancer["LoadBalancerAttributes"]}
    return float(attributes["idle_timeout.timeout_seconds"])


def answers(url: str) -> bool:
    """Whether something answers there already."""
    try:
        return httpx.get(url).is_success
    except httpx.TransportError:
        return False


def test_a_connection_that_was_idle_for_as_long_as_the_balancer_bears_still_answers(
    guardian: Guardian, database_url: str, tmp_path: Path
) -> None:
    ports = {service: free_port() for service in PAGES}
    programs = [
        Program(
            guardian,
            service,
            [sys.executable, "-m", service],
            tmp_path / f"{service}.log",
            environment=inherit_environment(
                DATABASE_URL=as_role(database_url, service), PORT=str(port)
            ),
        )
        for service, port in ports.items()
    ]
    for program in programs:
        program.start()
    connections = {}
    for service, port in ports.items():
        # The test's time limit bounds it.
        while not answers(f"http://{LOCALHOST}:{port}{PAGES[service]}"):
            time.sleep(0.2)
        connections[service] = HTTPConnection(LOCALHOST, port)
        connections[service].connect()
    sockets = {service: connection.sock for service, connection in connections.items()}
    for pause_s in (0.0, balancers_patience_s() + 1):
        time.sleep(pause_s)
        for service, connection in connections.items():
            connection.request("GET", PAGES[service])
            answer = connection.getresponse()
            assert (answer.status, bool(answer.read())) == (200, True)
            assert connection.sock is sockets[service], "another connection answered"
    for connection in connections.values():
        connection.close()
    for program in programs:
        program.stop()
