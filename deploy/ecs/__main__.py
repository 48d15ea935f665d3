"""SHELL: `python -m deploy.ecs deploy api --environment staging --tag 1.4.0`; more by `--help`."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from api.access.credentials import new_credential
from deloton.running.commands import help_of
from deloton.running.logs import configure_logging
from deploy.ecs.changes import changed_services
from deploy.ecs.deployment import Deployment
from deploy.ecs.environment import HERE, DeploymentError, Environment
from deploy.ecs.generation import write_templates

cli = typer.Typer(add_completion=False, help=help_of(__doc__), pretty_exceptions_enable=False)
Chosen = Annotated[str, typer.Option("--environment", help="A file of environments/.")]
Tag = Annotated[str, typer.Option(help="Which image runs.")]
Migrate = Annotated[bool, typer.Option(help="Bring the tables up to date first.")]


@cli.command()
def prepare(
    environment: Chosen,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Show what would change of the stacks that services stand on; make it so once agreed."""
    deployment = _open(environment)
    for stack, changes in deployment.plan().items():
        for change in changes or ["nothing"]:
            print(f"{stack}: {change}")
    if yes or typer.confirm("Go on?"):
        deployment.prepare()


@cli.command()
def deploy(service: str, environment: Chosen, tag: Tag, migrate: Migrate = True) -> None:
    """Deploy one service; the others are not touched."""
    _open(environment).deploy(service, tag, migrate=migrate)


@cli.command("deploy-all")
def deploy_all(environment: Chosen, tag: Tag) -> None:
    """Make what the services stand on, then deploy one after the other."""
    deployment = _open(environment)
    deployment.prepare()
    for service in deployment.services:
        deployment.deploy(service, tag)


@cli.command()
def run(service: str, command: list[str], environment: Chosen) -> None:
    """Run a command in a task of a service; print what it says.

    `run api --environment production -- python -m api.keys list`
    """
    for line in _open(environment).run(service, command):
        print(line)


@cli.command("api-key")
def api_key(
    environment: Chosen,
    name: str,
    scopes: str = "read",
    sandbox: Annotated[bool, typer.Option("--sandbox", help="Simulated riders alone.")] = False,
) -> None:
    """Make a key of the API here, store its hash there, and print it: it goes through no log."""
    credential = new_credential()
    told = key_told(credential.hashed, name, scopes, sandbox=sandbox)
    _open(environment).run("api", told)
    print(credential.key)


def key_told(hashed: str, name: str, scopes: str, *, sandbox: bool) -> list[str]:
    """The command that stores a key, of which it is told no more than the hash."""
    command = ["python", "-m", "api.keys", "create", "--name", name, "--scopes", scopes]
    return [*command, "--hashed", hashed, *(["--sandbox"] if sandbox else [])]


@cli.command()
def status(environment: Chosen) -> None:
    """Say of each service which image runs, how many tasks do, and which alarms stand."""
    for each in _open(environment).status():
        tasks = f"{each.running} of {each.wanted} tasks"
        print(
            f"{each.service:<11} {each.tag or 'never deployed'}  {tasks}  {' '.join(each.alarms)}"
        )


@cli.command()
def changed(environment: Chosen) -> None:
    """Print, as JSON, the services whose inputs differ between what runs and this checkout."""
    running = _open(environment).running()
    print(json.dumps(changed_services(running, HERE.parents[1])))


@cli.command()
def templates() -> None:
    """Write the templates of the stacks with tasks anew, from `sources/`."""
    write_templates()


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
