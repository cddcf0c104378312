"""What a failure of a database means. Told by SQLSTATE or the library's class, never by a text: texts quote values."""

import re
from collections.abc import Mapping
from dataclasses import replace
from enum import IntEnum
from typing import Any

from sqlalchemy import exc

from activities.actions.answers import NoAnswer
from activities.actions.wire import TIMEOUT
from workflows.names import HeldCause


class Reached(IntEnum):
    """How far a transaction had come when it failed."""

    CONNECTING = 1
    ASKING = 2
    #: The commit is on its way: whoever hears no answer to it can't know.
    COMMITTING = 3


def _passing(code: str) -> NoAnswer:
    return NoAnswer(code=code, touched=False)


def _lasting(code: str) -> NoAnswer:
    return NoAnswer(code=code, touched=False, may_pass=False)


def _held(code: str, cause: HeldCause = HeldCause.CONFIGURATION) -> NoAnswer:
    return NoAnswer(code=code, touched=False, held=cause)


DRIVER_MISSING = _held("sql_driver_missing")
#: An asynchronous driver (`postgresql+asyncpg`): calls are made in threads.
DRIVER_ASYNC = _held("sql_driver_async")
BAD_URL = _held("sql_bad_url")
_BAD_STATEMENT = _lasting("sql_bad_statement")
_BAD_PARAMETER = _lasting("sql_bad_parameter")
_CONNECT_ERROR = _passing("sql_connect_error")
_CONNECTION_LOST = _passing("sql_connection_lost")
_TIMEOUT = _passing(TIMEOUT)
#: A fault of our own use of the library.
_INTERNAL = _passing("internal_error")

#: Every exception of SQLAlchemy by class; a subclass without a line of its own counts as its nearest base. An error of the
#: database is told by its SQLSTATE first. Whether anything was done depends on how far the transaction had come.
NO_ANSWERS: Mapping[type[Exception], NoAnswer] = {
    # Of the database, without a SQLSTATE.
    exc.OperationalError: _passing("sql_operational_error"),
    exc.InternalError: _passing("sql_internal_error"),
    exc.InterfaceError: _passing("sql_interface_error"),
    exc.DatabaseError: _passing("sql_database_error"),
    exc.DBAPIError: _passing("sql_database_error"),
    exc.EmulatedDBAPIException: _passing("sql_database_error"),
    exc.DataError: _lasting("sql_data_error"),
    exc.IntegrityError: _lasting("sql_integrity_error"),
    exc.ProgrammingError: _lasting("sql_programming_error"),
    exc.NotSupportedError: _lasting("sql_not_supported"),
    # A parameter that the statement names is missing, or can't be bound.
    exc.StatementError: _BAD_PARAMETER,
    # Of the connections.
    exc.TimeoutError: _passing("sql_pool_timeout"),
    exc.DisconnectionError: _CONNECTION_LOST,
    exc.InvalidatePoolError: _CONNECTION_LOST,
    # Of the statement's text.
    exc.ArgumentError: _BAD_STATEMENT,
    exc.ObjectNotExecutableError: _BAD_STATEMENT,
    exc.CompileError: _BAD_STATEMENT,
    exc.UnsupportedCompilationError: _BAD_STATEMENT,
    exc.IdentifierError: _BAD_STATEMENT,
    # Of the driver.
    exc.NoSuchModuleError: DRIVER_MISSING,
    exc.NoDBAPILoaded: DRIVER_MISSING,
    exc.AwaitRequired: DRIVER_ASYNC,
    exc.MissingGreenlet: DRIVER_ASYNC,
    # Of what we don't use: tables described in Python, expectations of how many rows come.
    **dict.fromkeys(
        (
            exc.AmbiguousColumnError,
            exc.AmbiguousForeignKeysError,
            exc.CircularDependencyError,
            exc.ConstraintColumnNotFoundError,
            exc.DuplicateColumnError,
            exc.IllegalStateChangeError,
            exc.InvalidRequestError,
            exc.MultipleResultsFound,
            exc.NoForeignKeysError,
            exc.NoInspectionAvailable,
            exc.NoReferenceError,
            exc.NoReferencedColumnError,
            exc.NoReferencedTableError,
            exc.NoResultFound,
            exc.NoSuchColumnError,
            exc.NoSuchTableError,
            exc.PendingRollbackError,
            exc.ResourceClosedError,
            exc.SQLAlchemyError,
            exc.UnboundExecutionError,
            exc.UnreflectableTableError,
        ),
        _INTERNAL,
    ),
}

#: SQLSTATE classes (the first two characters) that will be the same every time: the statement or its values are wrong, or a
#: rule of the database's own forbids it. All other classes may pass: connections, deadlocks, resources, failing over.
_LASTING_CLASSES = frozenset({"0A", "20", "21", "22", "23", "26", "2B", "34", "3B", "3F", "42", "44", "54", "P0"})
_HELD_STATES = {"42501": HeldCause.CREDENTIALS, "3D000": HeldCause.CONFIGURATION}
_HELD_CLASSES = {"28": HeldCause.CREDENTIALS}
_CANCELLED = "57014"
#: States of a commit after which nobody knows: the connection broke, the server went down, it says so itself (40003).
_UNKNOWN_AFTER_COMMIT = re.compile(r"08...|57...|58...|XX...|40003")

#: SQLite's names of errors (the first part) that will be the same every time. It has no SQLSTATE.
_LASTING_IN_SQLITE = frozenset({"ERROR", "CONSTRAINT", "MISMATCH", "RANGE", "TOOBIG", "MISUSE"})

#: PostgreSQL's client library tells no SQLSTATE of a connection that was refused, only the server's words.
_STATES_BY_WORDS = (
    (re.compile(r"password authentication failed|authentication failed for user"), "28P01"),
    (re.compile(r"no pg_hba\.conf entry|role \".*\" (does not exist|is not permitted)|no password supplied"), "28000"),
    (re.compile(r"permission denied for database"), "42501"),
    (re.compile(r"database \".*\" does not exist"), "3D000"),
    (re.compile(r"too many (clients|connections)|connection slots are reserved"), "53300"),
    (re.compile(r"starting up|shutting down|in recovery mode|not (yet )?accepting connections"), "57P03"),
)


def no_answer(error: Exception, *, reached: Reached, transactional: bool) -> NoAnswer:
    """What an exception says about the database.

    `transactional`: what fails before its commit has certainly not happened.
    """
    state = _state_of(error, reached=reached)
    told = _by_state(state) if state is not None else _by_kind(error, reached=reached)
    return replace(told, touched=_may_have_acted(error, state, reached=reached, transactional=transactional))


def _may_have_acted(error: Exception, state: str | None, *, reached: Reached, transactional: bool) -> bool:
    if reached is Reached.CONNECTING:
        return False
    if not transactional:
        return True
    if reached is Reached.ASKING:
        return False
    lost = isinstance(error, exc.DBAPIError) and error.connection_invalidated
    return lost or state is None or _UNKNOWN_AFTER_COMMIT.fullmatch(state) is not None


def _by_state(state: str) -> NoAnswer:
    code = f"sql_{state}"
    cause = _HELD_STATES.get(state) or _HELD_CLASSES.get(state[:2])
    if cause is not None:
        return _held(code, cause)
    if state == _CANCELLED:
        return _TIMEOUT
    return _lasting(code) if state[:2] in _LASTING_CLASSES else _passing(code)


def _by_kind(error: Exception, *, reached: Reached) -> NoAnswer:
    if isinstance(error, ImportError):
        return DRIVER_MISSING
    if isinstance(error, exc.DBAPIError):
        name = getattr(error.orig, "sqlite_errorname", None)
        if isinstance(name, str):
            return _by_sqlite_name(name)
        if error.connection_invalidated:
            return _CONNECTION_LOST
        if isinstance(error, exc.OperationalError) and reached is Reached.CONNECTING:
            return _refused(error.orig)
    kind = next((kind for kind in type(error).__mro__ if kind in NO_ANSWERS), None)
    if reached is Reached.CONNECTING and (kind is None or not _may_pass(NO_ANSWERS[kind])):
        # Not asked for anything yet: what the driver refuses is what the URL says.
        return NO_ANSWERS[kind] if kind is not None and NO_ANSWERS[kind].held else BAD_URL
    if kind is not None:
        return NO_ANSWERS[kind]
    # Drivers raise these bare, for a value that their database has no room for.
    return _BAD_PARAMETER if isinstance(error, ValueError | TypeError | OverflowError) else _INTERNAL


def _may_pass(answer: NoAnswer) -> bool:
    return answer.may_pass and answer.held is None


def _by_sqlite_name(name: str) -> NoAnswer:
    kind = name.split("_")[1]
    if kind == "INTERRUPT":
        return _TIMEOUT
    code = f"sql_{name.lower()}"
    return _lasting(code) if kind in _LASTING_IN_SQLITE else _passing(code)


def _refused(origin: Any) -> NoAnswer:
    """A connection that didn't come about, for a reason that we can't read."""
    asked = getattr(origin, "pgconn", None)
    if asked is not None and (asked.used_password or asked.needs_password):
        # We got as far as the password; in whatever language the server says the rest, that is where to look.
        return _held("sql_connect_refused", HeldCause.CREDENTIALS)
    return _CONNECT_ERROR


def _state_of(error: Exception, *, reached: Reached) -> str | None:
    if not isinstance(error, exc.DBAPIError):
        return None
    for name in ("sqlstate", "pgcode"):
        state = getattr(error.orig, name, None)
        if isinstance(state, str) and re.fullmatch(r"[0-9A-Z]{5}", state):
            return state
    if reached is Reached.CONNECTING and isinstance(error, exc.OperationalError):
        words = str(error.orig)
        return next((state for pattern, state in _STATES_BY_WORDS if pattern.search(words)), None)
    return None
