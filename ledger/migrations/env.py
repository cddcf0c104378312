"""Alembic's environment. Migrations run inside the transaction they are handed: as a whole, or not at all."""

from alembic import context

from ledger import schema

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=schema.metadata,
    render_as_batch=True,  # SQLite can't alter a column; a batch copies the table instead
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
