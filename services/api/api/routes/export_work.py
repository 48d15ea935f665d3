"""SHELL: makes exports in the background, one at a time in each process, and removes old ones."""

import asyncio
import gzip
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

from api.contract.problems import Problem
from api.store.database import Database, Row
from api.store.export import export_rider
from api.store.export_files import ExportFiles, ExportNotStored, name_of
from api.store.export_rows import (
    LEASE,
    Hand,
    exports_to_remove,
    forget_removed,
    give_up_exports,
    note_removed,
)
from deloton.rules.sandbox import is_sandbox_rider
from deloton.running.logs import get_logger

# What another process is asked for, or lets go of, is found within so long.
LOOKS_EVERY_S: Final = 10.0

_log = get_logger(__name__)


class ExportWork:
    """What waits is made, what is over is removed; a restart loses nothing of either."""

    def __init__(self, database: Database, sandbox: Database, files: ExportFiles) -> None:
        """Nothing is done before `run`. `sandbox` tells of the riders that are simulated."""
        self._database = database
        self._sandbox = sandbox
        self._hand = Hand(database)
        self.files = files
        self._wanted = asyncio.Event()

    def wake(self) -> None:
        """There is something to do."""
        self._wanted.set()

    async def run(self) -> None:
        """Go on until cancelled. While the database or the bucket is away: again a little later.

        So, too, after what nobody foresaw: who asks for other things is answered meanwhile.
        """
        while True:
            self._wanted.clear()
            try:
                await self._make_all()
            except (Problem, ExportNotStored) as error:
                _log.warning("exports wait", error=str(error))
            except Exception:  # noqa: BLE001
                _log.exception("exports wait")
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wanted.wait(), LOOKS_EVERY_S)

    async def _make_all(self) -> None:
        for export_id in await give_up_exports(self._database):
            _log.error("export given up", export_id=export_id)
        await self._remove_old()
        while (row := await self._hand.claim()) is not None:
            await self._make(row)
            await self._remove_old()

    async def _make(self, row: Row) -> None:
        export_id, attempt = row["export_id"], row["attempts"]
        name = name_of(export_id, attempt)
        try:
            size_bytes = await self._store(row["rider_id"], export_id, name)
            is_ready = size_bytes is not None and await self._hand.finish(export_id, size_bytes)
        except (Problem, ExportNotStored, OSError) as error:
            _log.warning("export not made", export_id=export_id, error=type(error).__name__)
            await self._hand.fail(export_id, attempt)
            return
        except Exception:  # noqa: BLE001
            # It may be this rider's data that cannot be told: it must not cost the others'.
            _log.exception("export not made", export_id=export_id)
            await self._hand.fail(export_id, attempt)
            return
        if is_ready:
            _log.info("export ready", export_id=export_id, size_bytes=size_bytes)
            return
        # Its rider was erased, or another process makes it.
        _log.info("export not wanted any more", export_id=export_id)
        await asyncio.to_thread(self.files.remove, name)
        await self._hand.let_go(export_id)

    async def _store(self, rider_id: int, export_id: int, name: str) -> int | None:
        """Make and keep the file; its size, or None where it is ours no more."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / name
            async with self._held(export_id) as lost:
                if not await self._write(rider_id, path, lost):
                    return None
                await asyncio.to_thread(self.files.put, name, path)
            return path.stat().st_size

    async def _write(self, rider_id: int, path: Path, lost: asyncio.Event) -> bool:
        """Write the file; False where it is ours no more."""
        with gzip.open(path, "wb", compresslevel=6) as file:
            async for piece in export_rider(self._source_of(rider_id), rider_id):
                if lost.is_set():
                    return False
                await asyncio.to_thread(file.write, piece)
        return True

    def _source_of(self, rider_id: int) -> Database:
        """Who is shown this rider's rides."""
        return self._sandbox if is_sandbox_rider(rider_id) else self._database

    @asynccontextmanager
    async def _held(self, export_id: int) -> AsyncIterator[asyncio.Event]:
        """Say until left that it is in hand; what is given says that it is no more."""
        lost = asyncio.Event()

        async def renew() -> None:
            while not lost.is_set():
                await asyncio.sleep(LEASE.total_seconds() / 4)
                # Whatever it is: a lease that is over says it soon enough.
                with suppress(Exception):
                    if not await self._hand.renew(export_id):
                        lost.set()

        renewing = asyncio.create_task(renew())
        try:
            yield lost
        finally:
            renewing.cancel()
            await asyncio.wait([renewing])

    async def _remove_old(self) -> None:
        for row in await exports_to_remove(self._database):
            for attempt in range(1, row["attempts"] + 1):
                await asyncio.to_thread(self.files.remove, name_of(row["export_id"], attempt))
            await note_removed(self._database, row["export_id"])
            _log.info("export removed", export_id=row["export_id"])
        await forget_removed(self._database)
