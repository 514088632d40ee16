"""Environment in which Alembic runs the migrations of dsx on the connection of the caller."""

from alembic import context

from dsx.store.database.schema import VERSION_TABLE, Base, belongs_to_dsx

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    # Optuna stores its own revision in Alembic's default table.
    version_table=VERSION_TABLE,
    include_name=belongs_to_dsx,
)
with context.begin_transaction():
    context.run_migrations()
