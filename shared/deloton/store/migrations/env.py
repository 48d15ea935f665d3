"""Runs the migrations on the connection that `deloton.migrate` hands over."""

from alembic import context

from deloton.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    compare_type=True,
)
with context.begin_transaction():
    context.run_migrations()
