"""EDGE: the archive of reports in a private S3 bucket, and the page that lists them.

`reports/2026/03/10.pdf`, `.html` and `.json` for a day, `reports/2026/week-11.pdf` … for a week,
and `reports/index.html` with relative links. Everything is encrypted by S3 and nothing made
public: by which key, and who may read it, is the bucket's own setting, which a header would
override. Putting a report again replaces it.
"""

import base64
import re
from typing import Any, Final

import boto3
import msgspec
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from reporter.days import Edition
from reporter.document import fill
from reporter.errors import ReportNotArchived
from reporter.message import chart_of, mail_page
from reporter.summary import Summary, by_initials

PREFIX: Final = "reports/"
_DAY: Final = re.compile(r"reports/(\d{4})/(\d\d)/(\d\d)\.pdf")
_WEEK: Final = re.compile(r"reports/(\d{4})/week-(\d\d)\.pdf")


class Archive:
    """A bucket; boto3 blocks, so call it from a thread where something else goes on."""

    def __init__(self, bucket: str, region: str, endpoint_url: str | None = None) -> None:
        """Describe the archive; credentials as boto3 finds them."""
        self._bucket = bucket
        self._s3: Any = boto3.session.Session().client(
            "s3",
            region_name=region,
            endpoint_url=endpoint_url,
            config=Config(
                connect_timeout=5,
                read_timeout=30,
                retries={"mode": "standard", "total_max_attempts": 5},
                # Emulations answer under one address, whatever the bucket.
                s3={"addressing_style": "path"} if endpoint_url else {},
            ),
        )

    def put(self, summary: Summary, pdf: bytes) -> None:
        """Keep a report: PDF, page, figures by leaders' initials. Raises `ReportNotArchived`."""
        stem = key_stem(summary)
        page = mail_page(summary, _as_data_uri(chart_of(summary)))
        figures = msgspec.json.format(msgspec.json.encode(by_initials(summary)))
        self._put(f"{stem}.json", figures, "application/json")
        self._put(f"{stem}.html", page.encode(), "text/html; charset=utf-8")
        self._put(f"{stem}.pdf", pdf, "application/pdf")

    def write_index(self) -> None:
        """Write the list of all reports anew, as the bucket holds them now."""
        page = fill("index.html", years=by_year(self._keys()))
        self._put(f"{PREFIX}index.html", page.encode(), "text/html; charset=utf-8")

    def _put(self, key: str, body: bytes, content_type: str) -> None:
        try:
            self._s3.put_object(
                Bucket=self._bucket,
                Key=key,
                Body=body,
                ContentType=content_type,
                CacheControl="private, no-cache",
            )
        except (ClientError, BotoCoreError) as error:
            raise _refusal(error) from error

    def _keys(self) -> list[str]:
        pages = self._s3.get_paginator("list_objects_v2")
        try:
            return [
                str(found["Key"])
                for page in pages.paginate(Bucket=self._bucket, Prefix=PREFIX)
                for found in page.get("Contents", [])
            ]
        except (ClientError, BotoCoreError) as error:
            raise _refusal(error) from error


def key_stem(summary: Summary) -> str:
    """A report's key without its ending."""
    if summary.edition is Edition.WEEKLY:
        year, week, _ = summary.on.isocalendar()
        return f"{PREFIX}{year}/week-{week:02}"
    return f"{PREFIX}{summary.on:%Y/%m/%d}"


def by_year(keys: list[str]) -> dict[str, dict[str, list[tuple[str, str]]]]:
    """The reports among some keys, newest first: year → `days` and `weeks` → name, relative link.

    Links have no ending: `.pdf`, `.html` and `.json` lie under it.
    """
    years: dict[str, dict[str, list[tuple[str, str]]]] = {}
    for key in sorted(keys, reverse=True):
        link = key.removeprefix(PREFIX).removesuffix(".pdf")
        if day := _DAY.fullmatch(key):
            year, month, number = day.groups()
            years.setdefault(year, {}).setdefault("days", []).append(
                (f"{year}-{month}-{number}", link)
            )
        elif week := _WEEK.fullmatch(key):
            year, number = week.groups()
            years.setdefault(year, {}).setdefault("weeks", []).append((f"Week {number}", link))
    return years


def _as_data_uri(png: bytes | None) -> str | None:
    return png and f"data:image/png;base64,{base64.b64encode(png).decode()}"  # type: ignore[return-value]


def _refusal(error: Exception) -> ReportNotArchived:
    if isinstance(error, ClientError):
        code = error.response.get("Error", {}).get("Code", "unknown")
        return ReportNotArchived(f"the archive refused it: {code}")
    return ReportNotArchived(f"the archive could not be reached: {type(error).__name__}")
