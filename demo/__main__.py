"""SHELL: starts the demo: `python -m demo`."""

import asyncio
import sys


def main() -> int:
    """Run the demo; return 0 after a signal to stop, 1 with a sentence if it cannot go on."""
    try:
        from rich.console import Console  # noqa: PLC0415  what is missing deserves a sentence

        from demo.app import run_demo  # noqa: PLC0415
    except ModuleNotFoundError as error:
        print(f"{error.name} is not installed: start the demo with `make demo`.", file=sys.stderr)
        return 1
    from demo.errors import DemoError  # noqa: PLC0415
    from demo.settings import read_settings  # noqa: PLC0415

    console = Console(highlight=False, markup=False)
    try:
        asyncio.run(run_demo(read_settings(sys.argv[1:]), console))
    except DemoError as error:
        print(error, file=sys.stderr)
        return 1
    except (asyncio.CancelledError, KeyboardInterrupt):
        console.print("Stopped: nothing is left running.")
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
