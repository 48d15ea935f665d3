"""Settings of the demo, and the one list of all settings."""

import re
from pathlib import Path

import pytest

from dashboard.settings import DashboardSettings
from demo.errors import AlreadyRunning, DemoError
from demo.run_directory import hold_run_directory
from demo.settings import DATABASE, PORTS, port_number, read_settings
from hr_alerter.settings import AlerterSettings
from ingestor.settings import IngestorSettings

ENV_EXAMPLE = Path(__file__).parents[3] / ".env.example"


def test_a_port_moves_by_its_variable() -> None:
    assert port_number(DATABASE, {"DEMO_DATABASE_PORT": "2345"}) == 2345
    assert port_number(DATABASE, {"DEMO_DATABASE_PORT": ""}) == DATABASE.default


@pytest.mark.parametrize("text", ["0", "65536", "-1", "5432x", "1e3"])
def test_a_wrong_port_is_refused_in_one_sentence(text: str) -> None:
    with pytest.raises(DemoError, match=rf"^DEMO_DATABASE_PORT={text} is no port"):
        port_number(DATABASE, {"DEMO_DATABASE_PORT": text})


@pytest.mark.parametrize(
    "argument", ["--bikes=0", "--since=yesterday", "--since=0h", "--faults=awful"]
)
def test_a_fleet_that_cannot_be_is_refused_before_anything_starts(argument: str) -> None:
    with pytest.raises(DemoError, match=argument.partition("=")[0]):
        read_settings([argument])


def test_every_setting_stands_in_the_example_with_a_sentence() -> None:
    lines = ENV_EXAMPLE.read_text().splitlines()
    names = [re.match(r"#?([A-Z_]+)=", line) for line in lines]
    listed = {match[1] for match in names if match}
    settings = (IngestorSettings, AlerterSettings, DashboardSettings)
    wanted = {name.upper() for one in settings for name in one.model_fields}
    assert wanted | {port.variable for port in PORTS} <= listed
    assert all(
        lines[number - 1].startswith("#") for number, match in enumerate(names) if match and number
    )


def test_a_second_demo_in_the_same_folder_is_told_of_the_first(tmp_path: Path) -> None:
    told = pytest.raises(AlreadyRunning, match=r"already running \(process \d+, folder .*\)")
    with hold_run_directory(tmp_path), told:
        hold_run_directory(tmp_path).__enter__()
    with hold_run_directory(tmp_path) as logs:
        assert logs.is_dir()


def test_logs_of_the_last_run_are_gone(tmp_path: Path) -> None:
    with hold_run_directory(tmp_path) as logs:
        (logs / "ingestor.log").write_text("old")
    with hold_run_directory(tmp_path) as logs:
        assert list(logs.iterdir()) == []
