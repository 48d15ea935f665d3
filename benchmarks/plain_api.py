"""The plainest API that answers `/v1/rides`: FastAPI, SQLAlchemy's ORM and pydantic, no more.

As their tutorials write it: a session a request, rows as objects, a response model. It checks no
key, takes no parameter, counts nobody's requests: what ours does beyond, it does not pay for.
Run by `benchmarks.api`: `DATABASE_URL=… PORT=… python -m benchmarks.plain_api`.
"""

import os
from collections.abc import AsyncIterator
from datetime import date, datetime
from typing import Annotated

import uvicorn
from fastapi import Depends, FastAPI
from pydantic import BaseModel, ConfigDict
from sqlalchemy import ForeignKey, select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, joinedload, mapped_column, relationship

url = os.environ["DATABASE_URL"].replace("postgresql://", "postgresql+asyncpg://")
new_session = async_sessionmaker(create_async_engine(url, pool_size=10), expire_on_commit=False)
app = FastAPI()


class Base(DeclarativeBase):
    """The root of the tables."""


class RiderRow(Base):
    """A rider."""

    __tablename__ = "riders"
    rider_id: Mapped[int] = mapped_column(primary_key=True)
    gender: Mapped[str]
    born_on: Mapped[date | None]


class RideRow(Base):
    """A ride."""

    __tablename__ = "rides"
    ride_id: Mapped[int] = mapped_column(primary_key=True)
    rider_id: Mapped[int | None] = mapped_column(ForeignKey("riders.rider_id"))
    rider: Mapped[RiderRow | None] = relationship()
    bike_serial: Mapped[str]
    started_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    end_reason: Mapped[str | None]
    reading_count: Mapped[int | None]
    duration_s: Mapped[float | None]
    mean_heart_rate_bpm: Mapped[float | None]
    max_heart_rate_bpm: Mapped[int | None]
    mean_cadence_rpm: Mapped[float | None]
    max_cadence_rpm: Mapped[int | None]
    mean_power_watts: Mapped[float | None]
    max_power_watts: Mapped[float | None]
    total_power_watts: Mapped[float | None]
    energy_kj: Mapped[float | None]
    mean_resistance: Mapped[float | None]
    power_deviation_s: Mapped[int | None]


class Rider(BaseModel):
    """Who rode."""

    model_config = ConfigDict(from_attributes=True)
    rider_id: int
    gender: str
    born_on: date | None


class Ride(BaseModel):
    """A ride, as it is answered."""

    model_config = ConfigDict(from_attributes=True)
    ride_id: int
    bike_serial: str
    rider: Rider | None
    started_at: datetime
    ended_at: datetime | None
    end_reason: str | None
    reading_count: int | None
    duration_s: float | None
    mean_heart_rate_bpm: float | None
    max_heart_rate_bpm: int | None
    mean_cadence_rpm: float | None
    max_cadence_rpm: int | None
    mean_power_watts: float | None
    max_power_watts: float | None
    total_power_watts: float | None
    energy_kj: float | None
    mean_resistance: float | None
    power_deviation_s: int | None


async def session() -> AsyncIterator[AsyncSession]:
    """A session of the request's own."""
    async with new_session() as opened:
        yield opened


@app.get("/health/ready")
async def get_readiness() -> dict[str, bool]:
    """It runs."""
    return {"healthy": True}


@app.get("/v1/rides", response_model=list[Ride])
async def list_rides(opened: Annotated[AsyncSession, Depends(session)]) -> object:
    """The newest hundred rides."""
    newest = (RideRow.started_at.desc(), RideRow.ride_id.desc())
    query = select(RideRow).options(joinedload(RideRow.rider)).order_by(*newest).limit(100)
    return (await opened.scalars(query)).all()


if __name__ == "__main__":
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=int(os.environ["PORT"]),
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="warning",
    )
