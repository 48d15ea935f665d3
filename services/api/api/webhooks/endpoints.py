"""EDGE: the way out to partners' endpoints: HTTP to public addresses alone.

A name is resolved here, all that it leads to is looked at, and the connection goes to just these
addresses: nobody gets a second chance to say another. Redirects are not followed, proxies of the
environment not asked, and of an answer only its status is read.
"""

import ipaddress
import socket
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from typing import Final

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

from api.contract.webhook_rules import check_url, is_public

ANSWER_WITHIN_S: Final = 15.0
CONNECT_WITHIN_S: Final = 5.0
MOST_CONNECTIONS: Final = 100
LONGEST_HEADER: Final = 8_190


class NotPublic(OSError):
    """A name that leads to this machine, network or cloud."""


class PublicResolver(AbstractResolver):
    """Resolves names that lead to public addresses, and to no others."""

    def __init__(self, private_hosts: Collection[str]) -> None:
        """`private_hosts` may lead anywhere."""
        self._private_hosts = private_hosts
        self._inner = ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """The addresses of a name. Raises `NotPublic` where any of them is not public."""
        found = await self._inner.resolve(host, port, family)
        if host not in self._private_hosts:
            for each in found:
                if not is_public(ipaddress.ip_address(each["host"].partition("%")[0])):
                    raise NotPublic(f"{host} leads to an address that is not public")
        return found

    async def close(self) -> None:
        """Nothing is held."""
        await self._inner.close()


class Endpoints:
    """Sends messages."""

    def __init__(self, session: aiohttp.ClientSession, private_hosts: Collection[str]) -> None:
        """Use a session of `open_endpoints`."""
        self._session = session
        self._private_hosts = private_hosts

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> int:
        """The status of an endpoint's answer.

        Raises `OSError`, `TimeoutError`, `ValueError` or `aiohttp.ClientError` where there is none,
        or where nothing may go there.
        """
        # An address that is no name is resolved by nobody.
        check_url(url, self._private_hosts)
        async with self._session.post(
            url, data=body, headers=headers, allow_redirects=False
        ) as answer:
            return answer.status


@asynccontextmanager
async def open_endpoints(private_hosts: Collection[str]) -> AsyncIterator[Endpoints]:
    """The way out, until left."""
    connector = aiohttp.TCPConnector(
        resolver=PublicResolver(private_hosts),
        # What a name leads to now is what counts.
        use_dns_cache=False,
        limit=MOST_CONNECTIONS,
        # A connection that is kept would be to where the name led before.
        force_close=True,
    )
    timeout = aiohttp.ClientTimeout(total=ANSWER_WITHIN_S, connect=CONNECT_WITHIN_S)
    headers = {"Content-Type": "application/json", "User-Agent": "Deloton-Webhooks/1"}
    async with aiohttp.ClientSession(
        connector=connector,
        timeout=timeout,
        headers=headers,
        trust_env=False,
        auto_decompress=False,
        cookie_jar=aiohttp.DummyCookieJar(),
        max_line_size=LONGEST_HEADER,
        max_field_size=LONGEST_HEADER,
    ) as session:
        yield Endpoints(session, private_hosts)
