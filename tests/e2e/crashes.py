"""What befalls a scene: each crash is a function, and leaves the scene able to recover.

`CRASHES` is the table of them; whoever adds a row adds a crash to the tests.
"""

import signal
from collections.abc import Callable
from functools import partial
from random import Random

from tests.e2e.crash_scene import SESSION_TIMEOUT_S, STOPPED_WITHIN_S, Scene

MOST_WORKERS = 4

# Ends the first backend that is seen in the middle of a COPY, then all others of the workers.
_BREAK_A_COPY = """
DO $$
DECLARE
    until_at timestamptz := clock_timestamp() + interval '5 s';
BEGIN
    LOOP
        PERFORM pg_stat_clear_snapshot();
        PERFORM pg_terminate_backend(pid) FROM pg_stat_progress_copy
        WHERE datname = current_database();
        EXIT WHEN FOUND OR clock_timestamp() > until_at;
    END LOOP;
    PERFORM pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = 'ingestor';
END $$
"""


def end_a_session_that(works_on: str) -> str:
    """SQL that ends the first session of an ingestor that is seen at such a statement."""
    return f"""
    DO $$
    DECLARE
        until_at timestamptz := clock_timestamp() + interval '5 s';
    BEGIN
        LOOP
            PERFORM pg_stat_clear_snapshot();
            PERFORM pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE datname = current_database() AND state = 'active'
            AND application_name = 'ingestor' AND query LIKE '%{works_on}%';
            EXIT WHEN FOUND OR clock_timestamp() > until_at;
        END LOOP;
    END $$
    """


def kill_a_worker(scene: Scene, chance: Random) -> None:
    """SIGKILL, and another one starts."""
    scene.take_worker(_one_of(scene, chance)).kill()
    scene.add_worker()


def add_workers(scene: Scene, chance: Random) -> None:
    """One or two more, as many as may be; each gets partitions before anything else happens."""
    for _ in range(chance.randint(1, 2)):
        if len(scene.workers) < MOST_WORKERS:
            name = scene.add_worker()
            scene.wait_until(partial(_has_begun, scene, name), f"{name} has a partition")


def remove_a_worker(scene: Scene, chance: Random) -> None:
    """SIGTERM: it finishes its batches and goes; the last one is replaced."""
    program = scene.take_worker(_one_of(scene, chance))
    program.stop(grace_s=STOPPED_WITHIN_S)
    if not scene.workers:
        scene.add_worker()


def restart_the_broker(scene: Scene, chance: Random) -> None:
    """SIGTERM."""
    scene.kafka.stop()
    scene.kafka.start()


def kill_the_broker(scene: Scene, chance: Random) -> None:
    """SIGKILL."""
    scene.kafka.kill()
    scene.kafka.start()


def kill_the_database(scene: Scene, chance: Random) -> None:
    """SIGKILL to all its processes; away for up to two seconds."""
    scene.postgres.kill()
    scene.pause(chance.uniform(0, 2))
    scene.postgres.start()


def freeze_a_worker(scene: Scene, chance: Random) -> None:
    """SIGSTOP until others have all its partitions, then SIGCONT: a zombie awakes."""
    if len(scene.workers) == 1:
        scene.add_worker()
    name = chance.choice(sorted(set(scene.workers) & set(scene.owners().values())))
    frozen = scene.workers[name]
    frozen.signal(signal.SIGSTOP)
    try:
        scene.pause(SESSION_TIMEOUT_S)
        scene.wait_until(
            lambda: name not in scene.owners().values(),
            f"others have taken over what {name} had: {scene.owners()}",
        )
    finally:
        frozen.signal(signal.SIGCONT)


def break_a_copy(scene: Scene, chance: Random) -> None:
    """The database ends a connection in the middle of a COPY, and all others."""
    scene.postgres.run_sql(_BREAK_A_COPY, database=scene.database)


def break_a_packing(scene: Scene, chance: Random) -> None:
    """The database ends a connection while rides are packed on it."""
    scene.postgres.run_sql(end_a_session_that("INSERT INTO ride_series"), database=scene.database)


CRASHES: tuple[Callable[[Scene, Random], None], ...] = (
    kill_a_worker,
    add_workers,
    remove_a_worker,
    restart_the_broker,
    kill_the_broker,
    kill_the_database,
    freeze_a_worker,
    break_a_copy,
    break_a_packing,
)


def in_random_order(count: int, chance: Random) -> list[Callable[[Scene, Random], None]]:
    """So many crashes; each kind comes once before any comes again."""
    order: list[Callable[[Scene, Random], None]] = []
    while len(order) < count:
        order += chance.sample(CRASHES, len(CRASHES))
    return order[:count]


def _one_of(scene: Scene, chance: Random) -> str:
    return chance.choice(sorted(scene.workers))


def _has_begun(scene: Scene, name: str) -> bool:
    """Whether a worker has partitions; one that ended again is not waited for."""
    return name in scene.owners().values() or name not in scene.workers
