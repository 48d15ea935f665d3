"""EDGE: the way out to partners' endpoints: HTTP to public addresses alone.

A name is resolved here, all that it leads to is looked at, and the connection goes to just these
addresses: nobody gets a second chance to say another. Redirects are not followed, proxies of the
environment not asked, and of an answer only its status is read.
"""

import asyncio
import ipaddress
import socket
from collections.abc import AsyncIterator, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

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
        # Of our own, one for each connection: the loop's few threads would all wait for the name
        # servers of one partner that do not answer.
        self._threads = ThreadPoolExecutor(MOST_CONNECTIONS, thread_name_prefix="names")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """The addresses of a name. Raises `NotPublic` where any of them is not public."""
        asked = partial(socket.getaddrinfo, host, port, family, socket.SOCK_STREAM)
        found = await asyncio.get_running_loop().run_in_executor(self._threads, asked)
        addresses = [(kind, str(at[0])) for kind, _, _, _, at in found]
        if host not in self._private_hosts:
            for _, address in addresses:
                if not is_public(ipaddress.ip_address(address.partition("%")[0])):
                    raise NotPublic(f"{host} leads to an address that is not public")
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=kind,
                proto=0,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for kind, address in addresses
        ]

    async def close(self) -> None:
        """What still waits for an answer is waited for by nobody."""
        self._threads.shutdown(wait=False, cancel_futures=True)


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
