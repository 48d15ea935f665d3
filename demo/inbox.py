"""SHELL: the demo's inbox: a mail server that sends nothing on, and pages to read its mails.

`python -m demo.inbox --folder .demo/mails --smtp-port 11025 --port 18025`. Both listen on this
machine alone. Each mail is a file of the folder.
"""

import argparse
import asyncio
import logging
import re
import signal
from pathlib import Path
from typing import Final

from aiohttp import web
from aiosmtpd.smtp import SMTP, Envelope, Session
from jinja2 import Environment, FileSystemLoader

from deloton.running.commands import help_of
from deloton.showing import palette
from demo.mail_folder import Mail, MailFolder, Part
from demo.ports import LOCALHOST

PAGES: Final = Path(__file__).parent / "inbox_pages"
# SES takes 40 MB; a report with its charts has less than one.
LARGEST_MAIL_BYTES: Final = 40_000_000
SHOWN: Final = 200
FOLDER: Final = web.AppKey("folder", MailFolder)
TEMPLATES: Final = web.AppKey("templates", Environment)

# A mail is somebody else's page: it may look as it likes and do nothing.
MAIL_MAY: Final = (
    "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'; "
    "style-src 'unsafe-inline'; font-src data:; img-src 'self' data:; frame-ancestors 'self'"
)


class Sink:
    """What the mail server does with a mail: it keeps it."""

    def __init__(self, folder: MailFolder) -> None:
        """Describe where mails are kept."""
        self._folder = folder

    async def handle_DATA(  # noqa: N802  aiosmtpd's name
        self, _server: SMTP, _session: Session, envelope: Envelope
    ) -> str:
        """Keep a mail; its sender is told the file's name."""
        path = self._folder.keep(
            envelope.original_content or b"", envelope.mail_from, envelope.rcpt_tos
        )
        return f"250 2.0.0 Kept as {path.name}"


def make_pages(folder: MailFolder) -> web.Application:
    """The pages: a list, a mail, and the pieces of a mail."""
    pages = web.Application()
    pages[FOLDER] = folder
    pages[TEMPLATES] = Environment(
        loader=FileSystemLoader(PAGES), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    pages[TEMPLATES].globals["colours"] = palette
    pages[TEMPLATES].filters["size"] = readable_size
    mail = "/mails/{mail_id:[0-9A-Za-z-]+}"
    pages.add_routes(
        [
            web.get("/", show_list),
            web.get("/health", show_health),
            web.get(mail, show_mail),
            web.get(f"{mail}/html", show_html),
            web.get(f"{mail}/raw", download_mail),
            web.get(f"{mail}/parts/{{number:[0-9]+}}", download_part),
        ]
    )
    return pages


async def show_health(_: web.Request) -> web.Response:
    """Say that it runs."""
    return web.Response(text="ok")


async def show_list(request: web.Request) -> web.Response:
    """The newest mails."""
    folder = request.app[FOLDER]
    return page(request, "list.html", mails=folder.newest(SHOWN), count=folder.count())


async def show_mail(request: web.Request) -> web.Response:
    """One mail."""
    return page(request, "mail.html", mail=asked_mail(request))


async def show_html(request: web.Request) -> web.Response:
    """The HTML part of a mail alone, its pictures taken from the mail itself."""
    mail = asked_mail(request)
    if mail.html is None:
        raise web.HTTPNotFound(text="This mail has no HTML part.")
    return web.Response(
        text=with_own_pictures(mail, mail.html),
        content_type="text/html",
        headers={"Content-Security-Policy": MAIL_MAY, "X-Content-Type-Options": "nosniff"},
    )


async def download_mail(request: web.Request) -> web.Response:
    """The mail as it came."""
    mail = asked_mail(request)
    raw = request.app[FOLDER].path_of(mail).read_bytes()
    return file_of(raw, f"{mail.mail_id}.eml", "message/rfc822")


async def download_part(request: web.Request) -> web.Response:
    """A file of a mail; only pictures are shown in place."""
    part = next(
        (
            one
            for one in asked_mail(request).parts
            if one.number == int(request.match_info["number"])
        ),
        None,
    )
    if part is None:
        raise web.HTTPNotFound(text="This mail has no such part.")
    return file_of(part.content, part.name, part.content_type, shown=is_picture(part))


def asked_mail(request: web.Request) -> Mail:
    """The mail that a page is about."""
    mail = request.app[FOLDER].find(request.match_info["mail_id"])
    if mail is None:
        raise web.HTTPNotFound(text="There is no such mail.")
    return mail


def page(request: web.Request, template: str, **values: object) -> web.Response:
    """A page of ours."""
    text = request.app[TEMPLATES].get_template(template).render(**values)
    return web.Response(text=text, content_type="text/html")


def file_of(content: bytes, name: str, content_type: str, *, shown: bool = False) -> web.Response:
    """A file to download, or to show in place."""
    safe_name = re.sub(r"[^\w.()+ -]", "_", name, flags=re.ASCII)
    way = "inline" if shown else "attachment"
    return web.Response(
        body=content,
        content_type=content_type,
        headers={
            "Content-Disposition": f'{way}; filename="{safe_name}"',
            "Content-Security-Policy": "sandbox; default-src 'none'",
            "X-Content-Type-Options": "nosniff",
        },
    )


def is_picture(part: Part) -> bool:
    """Say whether a part can be seen in a page without doing anything there."""
    return part.content_type in {"image/png", "image/jpeg", "image/gif", "image/webp"}


def with_own_pictures(mail: Mail, html: str) -> str:
    """The HTML part with `cid:…` replaced by where that part of the mail can be had."""
    for part in mail.parts:
        if part.content_id:
            html = html.replace(
                f"cid:{part.content_id}", f"/mails/{mail.mail_id}/parts/{part.number}"
            )
    return html


def readable_size(size: int) -> str:
    """`900 B`, `12 kB`."""
    return f"{size} B" if size < 1000 else f"{size / 1000:.0f} kB"  # noqa: PLR2004


async def run(folder: MailFolder, smtp_port: int, port: int) -> None:
    """Take mails and show them until SIGTERM or SIGINT."""
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    runner = web.AppRunner(make_pages(folder), access_log=None)
    await runner.setup()
    server = await serve_smtp(folder, smtp_port)
    try:
        await web.TCPSite(runner, LOCALHOST, port).start()
        await stopped.wait()
    finally:
        server.close()
        await runner.cleanup()


async def serve_smtp(folder: MailFolder, port: int) -> asyncio.Server:
    """Take mails at a port of this machine."""
    sink = Sink(folder)
    loop = asyncio.get_running_loop()

    def connected() -> SMTP:
        return SMTP(
            sink,
            loop=loop,
            hostname="localhost",
            ident="Deloton demo inbox",
            data_size_limit=LARGEST_MAIL_BYTES,
            enable_SMTPUTF8=True,
        )

    return await loop.create_server(connected, LOCALHOST, port)


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(prog="python -m demo.inbox", description=help_of(__doc__))
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--smtp-port", type=int, required=True)
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    asyncio.run(run(MailFolder(options.folder), options.smtp_port, options.port))


if __name__ == "__main__":
    main()
