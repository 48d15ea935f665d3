"""SHELL: runs the demo until a signal, shows how it goes, and ends it."""

import asyncio
import functools
import os
import signal

from rich.console import Console
from rich.live import Live

from demo.daily_report import send_yesterdays_report
from demo.errors import DemoError
from demo.figures import FigureReader, read_or_none
from demo.launch import Running, start_everything
from demo.services import DEAD_LETTERS_TOPIC, RAW_TOPIC
from demo.settings import Settings
from demo.supervision import Say, keep_running
from demo.view import Pace, addresses_text, is_live, page, plain_line

REFRESH_S = 1.0
PLAIN_LINE_EVERY_S = 5.0


async def run_demo(settings: Settings, console: Console) -> None:
    """Run until a signal, or until something cannot go on (then raises a `DemoError`)."""
    stop_on_signals()
    async with start_everything(settings, console) as running:
        console.print(addresses_text(running.addresses()), soft_wrap=True)
        await until_stopped(settings, running, console)


def stop_on_signals() -> None:
    """Make the first signal cancel the calling task; later ones find the stop under way."""
    task = asyncio.current_task()
    assert task is not None  # noqa: S101  only ever called from a task
    loop = asyncio.get_running_loop()
    stopping = False

    def stop() -> None:
        nonlocal stopping
        if not stopping:
            stopping = True
            task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # Who starts us with nohup wants us to outlive the terminal.
        if number is signal.SIGHUP and signal.getsignal(number) is signal.SIG_IGN:
            continue
        loop.add_signal_handler(number, stop)


async def until_stopped(settings: Settings, running: Running, console: Console) -> None:
    """Keep everything running and show it; returns only by cancellation or an error."""
    say = functools.partial(console.print, soft_wrap=True)
    try:
        async with asyncio.TaskGroup() as tasks:
            for watched in running.watched:
                tasks.create_task(keep_running(watched, say))
            if settings.stop_with_parent:
                tasks.create_task(watch_parent(os.getppid()))
            tasks.create_task(show(running, console))
            tasks.create_task(report(running, say))
    except* DemoError as group:
        raise group.exceptions[0] from None
    except* BrokenPipeError:
        raise DemoError("Stopped: nobody reads what the demo prints any more.") from None


async def watch_parent(parent: int) -> None:
    """End the demo when the process that started it is gone."""
    while os.getppid() == parent:  # noqa: ASYNC110  nothing tells us but looking
        await asyncio.sleep(REFRESH_S)
    raise DemoError("Stopped: the program that started the demo is gone.")


async def report(running: Running, say: Say) -> None:
    """Send yesterday's report once it can be counted."""
    async with reader_of(running) as reader:
        await send_yesterdays_report(reader, running.reporter, running.reports, running.inbox, say)


def reader_of(running: Running) -> FigureReader:
    """What reads the figures of this demo."""
    return FigureReader(
        running.database_url, running.bootstrap_servers, RAW_TOPIC, DEAD_LETTERS_TOPIC
    )


async def show(running: Running, console: Console) -> None:
    """Show the figures for ever: as a page where one can be drawn, otherwise as lines."""
    async with reader_of(running) as reader:
        if is_live(console):
            await show_page(reader, running, console)
        else:
            await show_lines(reader, console)


async def show_page(reader: FigureReader, running: Running, console: Console) -> None:
    """Draw the page anew each second."""
    # Smooth enough to read, quick enough to believe.
    pace = Pace(over=6)
    with Live(page(None, 0, running.watched), console=console) as live:
        while True:
            figures = await read_or_none(reader)
            rate = pace.note(figures) if figures else 0
            live.update(page(figures, rate, running.watched))
            await asyncio.sleep(REFRESH_S)


async def show_lines(reader: FigureReader, console: Console) -> None:
    """Print a line every few seconds."""
    pace = Pace(over=2)
    while True:
        await asyncio.sleep(PLAIN_LINE_EVERY_S)
        if (figures := await read_or_none(reader)) is not None:
            console.print(plain_line(figures, pace.note(figures)), soft_wrap=True)
