"""The environment in which Alembic runs dsx's migrations, on the connection of the caller."""

from alembic import context

from dsx.store.database.schema import VERSION_TABLE, Base, is_own

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    # Not Alembic's default table: Optuna keeps its own revision there.
    version_table=VERSION_TABLE,
    include_name=is_own,
)
with context.begin_transaction():
    context.run_migrations()
