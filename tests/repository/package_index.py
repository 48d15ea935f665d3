"""A package index over HTTP with tiny wheels, which remembers who asked for what."""

import base64
import hashlib
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread


@dataclass(frozen=True)
class Wheel:
    """A wheel in a folder; `line` is what a lock says of it."""

    path: Path

    @property
    def line(self) -> str:
        name, version, *_ = self.path.name.split("-")
        return f"{name}=={version} \\\n    --hash=sha256:{self.sha256}\n"

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.path.read_bytes()).hexdigest()


def make_wheel(folder: Path, name: str, scripts: Mapping[str, str] | None = None) -> Wheel:
    """Write the wheel `name` 1.0: a module of that name, and programs with their text."""
    files = {f"{name}.py": ""}
    files |= {f"{name}-1.0.data/scripts/{script}": text for script, text in (scripts or {}).items()}
    about = f"{name}-1.0.dist-info"
    files[f"{about}/METADATA"] = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"
    files[f"{about}/WHEEL"] = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    record = "".join(f"{path},sha256={_digest(text)},{len(text)}\n" for path, text in files.items())
    files[f"{about}/RECORD"] = f"{record}{about}/RECORD,,\n"
    wheel = folder / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, text in files.items():
            member = zipfile.ZipInfo(path)
            # Executable, as the programs of a wheel are.
            member.external_attr = 0o100755 << 16
            archive.writestr(member, text)
    return Wheel(wheel)


def _digest(text: str) -> str:
    raw = hashlib.sha256(text.encode()).digest()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


@dataclass
class PackageIndex:
    """Where it is, and which programs (`uv`, `pip`) took which wheels."""

    url: str
    taken: set[tuple[str, str]] = field(default_factory=set)


class _Handler(SimpleHTTPRequestHandler):
    """Serves the folder `simple/` under it, and notes each wheel that is taken."""

    def __init__(self, index: PackageIndex, *arguments: object, **options: object) -> None:
        self.index = index
        super().__init__(*arguments, **options)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        if self.path.endswith(".whl"):
            program = self.headers["User-Agent"].partition("/")[0]
            self.index.taken.add((program, Path(self.path).name.partition("-")[0]))
        super().do_GET()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def serve(folder: Path, wheels: list[Wheel]) -> Iterator[PackageIndex]:
    """Serve the wheels from a new folder, until the block ends."""
    for wheel in wheels:
        project = folder / "simple" / wheel.path.name.partition("-")[0]
        project.mkdir(parents=True)
        (project / wheel.path.name).write_bytes(wheel.path.read_bytes())
        link = f'<a href="{wheel.path.name}#sha256={wheel.sha256}">{wheel.path.name}</a>'
        (project / "index.html").write_text(f"<!DOCTYPE html><html><body>{link}</body></html>")
    index = PackageIndex("")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, index, directory=str(folder)))
    index.url = f"http://127.0.0.1:{server.server_port}/simple"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield index
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
