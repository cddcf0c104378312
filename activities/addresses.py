"""Where a service is, as this worker sees it: recorded with a case, and compared before each call of a later one."""

from urllib.parse import urlsplit, urlunsplit

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from activities.actions.wire import BadAddress, origin_of
from plans.secrets import resolve
from plans.services import HttpService, PythonService, Service, SqlService

#: What says in the query of a database URL which database is meant. Everything else there is settings, and passwords.
_WHERE_IN_QUERY = frozenset({"host", "hostaddr", "port", "dbname", "service", "unix_socket"})
_USUAL_PORTS = {"postgresql": 5432, "mysql": 3306, "mariadb": 3306, "oracle": 1521, "mssql": 1433}


def address_of(service: Service) -> str:
    """The address with its references resolved, without user name and password; empty for Python code.

    Raises:
        SecretMissing: a reference can't be resolved here.
        BadAddress: it is no address.
    """
    match service:
        case HttpService():
            return _base(resolve(service.base_url))
        case SqlService():
            return _database(resolve(service.database_url))
        case PythonService():
            return ""


def is_same_place(service: Service, *, known: str | None) -> bool:
    """Is this the very system that was recorded? A worker of another environment must not erase there.

    Raises:
        SecretMissing: a reference can't be resolved here.
        BadAddress: it is no address.
    """
    address = address_of(service)
    if known is None:
        return False
    if not isinstance(service, HttpService):
        return address == known
    origin = origin_of(address)
    try:
        return origin_of(known) == origin
    except BadAddress:
        return False


def _base(url: str) -> str:
    origin_of(url)
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _database(url: str) -> str:
    """The database behind a URL in one spelling, whichever driver reaches it."""
    try:
        parsed = make_url(url)
        dialect = parsed.get_backend_name()
    except (ArgumentError, ValueError):
        raise BadAddress("a database URL is written dialect+driver://user:password@host:port/database") from None
    place = URL.create(
        dialect,
        host=parsed.host.lower() if parsed.host else None,
        port=parsed.port or (_USUAL_PORTS.get(dialect) if parsed.host else None),
        database=parsed.database,
        query={name: value for name, value in parsed.query.items() if name in _WHERE_IN_QUERY},
    )
    return place.render_as_string()
