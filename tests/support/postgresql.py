"""A real PostgreSQL for the tests, with an empty database for each that asks."""

import asyncio
import contextlib
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from sqlalchemy import URL, create_engine, text

from tests.support.servers import NotHere, Server, free_port

_READY_WITHIN = 60.0
#: Where Debian and Ubuntu put the programs, of every version they have.
_DEBIAN = Path("/usr/lib/postgresql")
_ROLE = "postgres"


@dataclass(frozen=True, kw_only=True)
class PostgreSQL:
    """A server on loopback that lets nobody in without the password."""

    port: int
    password: str = field(repr=False)

    def url(self, database: str = "postgres") -> str:
        """The SQLAlchemy address of a database."""
        address = URL.create(
            "postgresql+psycopg", _ROLE, self.password, host="127.0.0.1", port=self.port, database=database
        )
        return address.render_as_string(hide_password=False)

    def add_database(self, name: str, *, like: str = "template1") -> str:
        """Make a database, which is there as long as the server; gives its SQLAlchemy address."""
        self._tell(f"CREATE DATABASE {name} TEMPLATE {like}")
        return self.url(name)

    @contextlib.contextmanager
    def an_empty_database(self, *, like: str = "template1") -> Iterator[str]:
        """The SQLAlchemy address of a database without rows, and without tables but those `like` another one's.

        It is gone afterwards.
        """
        name = f"test_{uuid.uuid4().hex}"
        url = self.add_database(name, like=like)
        try:
            yield url
        finally:
            # FORCE: what a failed test has left open must not fail the next one, too.
            self._tell(f"DROP DATABASE {name} WITH (FORCE)")

    async def answers(self) -> bool:
        """Does it take connections?"""
        address = self.url().replace("+psycopg", "")
        try:
            connection = await psycopg.AsyncConnection.connect(address, connect_timeout=5)
        except psycopg.OperationalError:
            return False
        await connection.close()
        return True

    def _tell(self, statement: str) -> None:
        engine = create_engine(self.url(), isolation_level="AUTOCOMMIT")
        try:
            with engine.connect() as connection:
                connection.execute(text(statement))
        finally:
            engine.dispose()


@contextlib.asynccontextmanager
async def a_postgresql() -> AsyncIterator[PostgreSQL]:
    """A server with data of its own, until the block ends.

    Raises:
        NotHere: there is no PostgreSQL on this machine.
    """
    programs = _programs()
    user = _unprivileged()
    # Not in pytest's folder: that is closed to all but the user who runs the tests, and the server may be another's.
    folder = Path(tempfile.mkdtemp(prefix="retirement-postgresql-"))
    try:
        if user is not None:
            shutil.chown(folder, user=user)
        here = PostgreSQL(port=free_port(), password=secrets.token_urlsafe(24))
        await asyncio.to_thread(_initialise, programs / "initdb", folder=folder, password=here.password, user=user)
        server = Server(
            "PostgreSQL",
            _command(programs / "postgres", data=folder / "data", port=here.port),
            log=folder / "log",
            environment=_environment(),
            # A fast shutdown: it does not wait for clients to leave.
            ended_by=signal.SIGINT,
            user=user,
        )
        await server.start()
        try:
            await server.ready(here.answers, within=_READY_WITHIN)
            yield here
        finally:
            await server.stop()
    finally:
        shutil.rmtree(folder)


def _programs() -> Path:
    """The folder of initdb and postgres: on PATH, else where pg_config says, else Debian's newest."""
    found = [shutil.which("initdb")]
    if (pg_config := shutil.which("pg_config")) is not None:
        said = subprocess.run([pg_config, "--bindir"], capture_output=True, text=True, check=False).stdout.strip()
        found.append(f"{said}/initdb" if said else None)
    found += [str(path) for path in sorted(_DEBIAN.glob("*/bin/initdb"), key=_version, reverse=True)]
    for path in found:
        if path is not None and os.access(path, os.X_OK):
            # Debian's PATH may hold links to single programs.
            return Path(path).resolve().parent
    raise NotHere("no initdb on PATH, by pg_config or in /usr/lib/postgresql; install PostgreSQL (Debian: postgresql)")


def _version(initdb: Path) -> int:
    name = initdb.parents[1].name
    return int(name) if name.isdigit() else 0


def _unprivileged() -> str | None:
    """Whom to run as: PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return None
    known = {account.pw_name for account in pwd.getpwall()}
    for name in ("postgres", "nobody"):
        if name in known:
            return name
    raise NotHere("PostgreSQL refuses to run as root, and there is neither a user postgres nor nobody; add one")


def _initialise(initdb: Path, *, folder: Path, password: str, user: str | None) -> None:
    """Make the server's data, as the user it will run as."""
    password_file = folder / "password"
    password_file.write_text(password)
    account = None if user is None else pwd.getpwnam(user)
    if account is not None:
        shutil.chown(password_file, user=account.pw_uid)
    done = subprocess.run(
        [
            initdb,
            f"--pgdata={folder / 'data'}",
            f"--username={_ROLE}",
            f"--pwfile={password_file}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C",
            "--no-sync",
        ],
        cwd=folder,
        env=_environment(),
        user=account and account.pw_uid,
        group=account and account.pw_gid,
        extra_groups=[] if account else None,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"initdb failed:\n{done.stdout}{done.stderr}"


def _command(postgres: Path, *, data: Path, port: int) -> tuple[str, ...]:
    settings = {
        "listen_addresses": "127.0.0.1",
        "port": port,
        "unix_socket_directories": "",
        # The data die with the test: nothing is to survive a power cut.
        "fsync": "off",
        "synchronous_commit": "off",
        "full_page_writes": "off",
        # Two that wait for each other are noticed sooner than after the default second.
        "deadlock_timeout": "100ms",
    }
    return (str(postgres), "-D", str(data), *(f"--{name}={value}" for name, value in settings.items()))


def _environment() -> dict[str, str]:
    """Ours, without what the person has set for a PostgreSQL of their own."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PG")}
