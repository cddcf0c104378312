"""Brings the ledger's tables up to date (Alembic). Safe to repeat, and safe to run in several processes at once."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from ledger.database import engine_for, writing

#: Any number, as long as it stays the same: on PostgreSQL, one runner at a time holds the lock of this name.
_LOCK = 7_283_645_901


def upgrade(url: str) -> None:
    """Migrate the database at `url` to the newest version."""
    engine = engine_for(url)
    try:
        with writing(engine).begin() as connection:
            upgrade_connection(connection)
    finally:
        engine.dispose()


def current_is_head(url: str) -> bool:
    """Is the database at `url` at the newest version?"""
    engine = engine_for(url)
    try:
        with engine.begin() as connection:
            return is_head(connection)
    finally:
        engine.dispose()


def upgrade_connection(connection: Connection) -> None:
    """Migrate inside the caller's write transaction: all of it, or nothing."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    command.upgrade(alembic_config(connection), "head")


def is_head(connection: Connection) -> bool:
    """Is the database at the newest version?"""
    heads = ScriptDirectory.from_config(alembic_config(connection)).get_heads()
    return set(MigrationContext.configure(connection).get_current_heads()) == set(heads)


def alembic_config(connection: Connection) -> Config:
    """For Alembic's own commands inside the caller's transaction."""
    config = Config()
    config.attributes["connection"] = connection
    # A percent sign in the path would be read as an interpolation.
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config
