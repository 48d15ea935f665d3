"""SHELL: a container's health check: `python -m deloton.probe METRICS_PORT /health`.

Asks the page of this machine at the port that the variable holds; ends with 0 where it answers
that all is well. `--alive` is content with any answer: a worker that waits for a database that is
away is not mended by a restart.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from urllib.error import HTTPError
from urllib.request import urlopen

PATIENCE_S = 4.0


def is_well(url: str, *, alive_is_enough: bool = False) -> bool:
    """Whether `url` answers with success, or with anything where that is enough."""
    try:
        with urlopen(url, timeout=PATIENCE_S):  # noqa: S310  always http://127.0.0.1
            return True
    except HTTPError:
        return alive_is_enough
    except OSError:
        return False


def main(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Return the exit status for a command line: the port's variable, the path, `--alive`."""
    match [argument for argument in arguments if argument != "--alive"]:
        case [variable, path] if environment.get(variable, "").isdecimal():
            url = f"http://127.0.0.1:{environment[variable]}{path}"
        case _:
            sys.exit("usage: python -m deloton.probe [--alive] PORT_VARIABLE /path")
    return 0 if is_well(url, alive_is_enough="--alive" in arguments) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
