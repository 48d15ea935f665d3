"""`python -m deploy.ecs deploy api --environment production --tag 1.4.0`; `--help` says more."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from deloton.logs import configure_logging
from deploy.ecs.deployment import Deployment
from deploy.ecs.environment import HERE, SERVICES, DeploymentError, Environment

cli = typer.Typer(add_completion=False, help=__doc__, pretty_exceptions_enable=False)
Chosen = Annotated[str, typer.Option("--environment", help="A file of environments/.")]
Tag = Annotated[str, typer.Option(help="Which image runs.")]
Migrate = Annotated[bool, typer.Option(help="Bring the tables up to date first.")]


@cli.command()
def prepare(environment: Chosen) -> None:
    """Make network, data and cluster, or bring them up to date."""
    _open(environment).prepare()


@cli.command()
def deploy(service: str, environment: Chosen, tag: Tag, migrate: Migrate = True) -> None:
    """Deploy one service; the others are not touched."""
    _open(environment).deploy(service, tag, migrate=migrate)


@cli.command("deploy-all")
def deploy_all(environment: Chosen, tag: Tag) -> None:
    """Make what the services stand on, then deploy one after the other."""
    deployment = _open(environment)
    deployment.prepare()
    for service in SERVICES:
        deployment.deploy(service, tag)


@cli.command()
def run(service: str, command: list[str], environment: Chosen) -> None:
    """Run a command in a task of a service; print what it says.

    `run api --environment production -- python -m api.keys list`
    """
    for line in _open(environment).run(service, command):
        print(line)


@cli.command()
def destroy(environment: Chosen, yes_destroy: Annotated[str, typer.Option()] = "") -> None:
    """Remove every stack; `--yes-destroy NAME` repeats the environment's name."""
    if yes_destroy != environment:
        raise DeploymentError(f"say --yes-destroy {environment} to remove every stack of it")
    _open(environment).destroy()


def _open(environment: str) -> Deployment:
    return Deployment(Environment.read(HERE / "environments" / f"{Path(environment).name}.yaml"))


if __name__ == "__main__":
    configure_logging("INFO")
    try:
        cli()
    except DeploymentError as error:
        sys.exit(str(error))
