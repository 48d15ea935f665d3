"""EDGE: where the files of exports lie: an S3 bucket, or a folder; and addresses that open one.

An address is signed and opens its file for `OPEN_FOR_S`: who has it needs no key.
"""

import hashlib
import hmac
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import unquote, urlencode, urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from msgspec import Struct

from deloton.errors import DelotonError

OPEN_FOR_S: Final = 900
_MEDIA_TYPE: Final = "application/gzip"


class ExportNotStored(DelotonError):
    """A file could not be stored or removed; trying again may help."""


class Stored(Struct, frozen=True):
    """An export's file, as it is told of: its number, which attempt made it, what signs for it."""

    export_id: int
    attempt: int
    secret: bytes

    @property
    def name(self) -> str:
        """What the file is called."""
        return name_of(self.export_id, self.attempt)


class ExportFiles(Protocol):
    """Keeps files by their names; everything blocks, so call it from a thread."""

    def put(self, name: str, path: Path) -> None:
        """Keep a file; raises `ExportNotStored`."""

    def remove(self, name: str) -> None:
        """Keep it no longer; one that is not there is no error. Raises `ExportNotStored`."""

    def address(self, export: Stored) -> str:
        """An address that opens the file; where it has no host, the API's own."""


def name_of(export_id: int, attempt: int) -> str:
    """What the file of an attempt is called: who came too late does not take another's away."""
    return f"export-{export_id}-{attempt}.json.gz"


class S3Files:
    """A private bucket. Credentials as boto3 finds them."""

    def __init__(
        self, bucket: str, region: str, endpoint_url: str | None, open_url: str | None
    ) -> None:
        """`endpoint_url` is where the bucket is for us, `open_url` where for others; None: AWS."""
        self._bucket = bucket
        self._s3 = _client(region, endpoint_url)
        self._signs = _client(region, open_url or endpoint_url)

    def put(self, name: str, path: Path) -> None:
        """Keep a file."""
        extra = {"ContentType": _MEDIA_TYPE, "CacheControl": "no-store"}
        self._do(lambda: self._s3.upload_file(path, self._bucket, _key(name), extra))

    def remove(self, name: str) -> None:
        """Keep it no longer."""
        self._do(lambda: self._s3.delete_object(Bucket=self._bucket, Key=_key(name)))

    def address(self, export: Stored) -> str:
        """An address that S3 itself opens."""
        of = {
            "Bucket": self._bucket,
            "Key": _key(export.name),
            "ResponseContentDisposition": f'attachment; filename="{export.name}"',
        }
        return str(self._signs.generate_presigned_url("get_object", of, ExpiresIn=OPEN_FOR_S))

    def _do(self, what: Callable[[], object]) -> None:
        try:
            what()
        except (ClientError, BotoCoreError, boto3.exceptions.S3UploadFailedError) as error:
            raise ExportNotStored(f"the bucket refused it: {type(error).__name__}") from error


def _key(name: str) -> str:
    return f"exports/{name}"


def _client(region: str, endpoint_url: str | None) -> Any:  # noqa: ANN401  boto3's
    return boto3.session.Session().client(
        "s3",
        region_name=region,
        endpoint_url=endpoint_url,
        config=Config(
            connect_timeout=5,
            read_timeout=30,
            retries={"mode": "standard", "total_max_attempts": 5},
            signature_version="s3v4",
            # Emulations answer under one address, whatever the bucket.
            s3={"addressing_style": "path" if endpoint_url else "virtual"},
        ),
    )


class FolderFiles:
    """A folder of this machine; the API opens its files at `/downloads`."""

    def __init__(self, folder: Path) -> None:
        """It is made where it is not there."""
        self._folder = folder

    def put(self, name: str, path: Path) -> None:
        """Keep a file: whole, or not at all."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            partly = self.path(name).with_suffix(".part")
            partly.write_bytes(path.read_bytes())
            partly.replace(self.path(name))
        except OSError as error:
            raise ExportNotStored(f"the folder refused it: {type(error).__name__}") from error

    def remove(self, name: str) -> None:
        """Keep it no longer."""
        try:
            self.path(name).unlink(missing_ok=True)
        except OSError as error:
            raise ExportNotStored(f"the folder refused it: {type(error).__name__}") from error

    def path(self, name: str) -> Path:
        """Where a file lies."""
        return self._folder / name

    def address(self, export: Stored) -> str:
        """An address of the API, signed by the export's own secret."""
        until = int(time.time()) + OPEN_FOR_S
        signed = {"until": until, "signature": _signature(export.export_id, until, export.secret)}
        return f"/downloads/{export.export_id}?{urlencode(signed)}"


def is_signed(export: Stored, until: int, signature: str) -> bool:
    """Whether an address of a folder's file is ours, and still opens it."""
    genuine = _signature(export.export_id, until, export.secret)
    is_genuine = hmac.compare_digest(signature.encode(), genuine.encode())
    return is_genuine and until >= time.time()


def _signature(export_id: int, until: int, secret: bytes) -> str:
    return hmac.new(secret, f"{export_id} {until}".encode(), hashlib.sha256).hexdigest()


def open_files(
    store: str, *, region: str, endpoint_url: str | None, open_url: str | None
) -> ExportFiles:
    """What `s3://bucket` or `file:///folder` names; see `settings`."""
    parts = urlsplit(store)
    if parts.scheme == "s3":
        return S3Files(parts.netloc, region, endpoint_url, open_url)
    return FolderFiles(Path(unquote(parts.path)))
