"""Answers in words of a service's owner: what each means, and how to mend it. Data only."""

from collections.abc import Mapping

#: What it means, how to mend it. `{service}` is the service's id in the plan, `{references}` its secrets as the plan
#: writes them, `{timeout}` its time limit.
Words = tuple[str, str]

_OWN_LOG = "See the service's own log."
_BASE_URL = "Check services.{service}.base_url, and the network between."
_DATABASE_URL = "Check services.{service}.database_url."
_STATEMENT = "Check the statement: try it in the database's own shell, with the same user."

STATUSES: Mapping[int, Words] = {
    400: ("the service doesn't accept the request", "Check path, query and body, and the form of the user id."),
    402: ("the service wants to be paid", "Ask its owner about the client's plan."),
    404: ("not found", "Check the path below base_url: does it begin as the service's own documentation says?"),
    405: ("the path doesn't take this method", "Check method and path against the service's documentation."),
    406: ("the service doesn't give JSON here", "Ask for a path that answers JSON."),
    409: ("the request is in conflict with something", "Ask the service's owner what it collides with."),
    410: ("gone for good", "Check the path: this one may have been retired."),
    411: ("the service wants another kind of body", "Check the request's body."),
    415: ("the service doesn't take JSON", "Check the request's body and headers."),
    421: ("the host doesn't serve this name", "Check services.{service}.base_url."),
    422: ("the service understands the request and refuses it", "Check path, query and body."),
    501: ("the service doesn't know the method", "Check method and path."),
    505: ("the service doesn't speak HTTP/1.1", "Ask its owner."),
}

#: Ways of not answering, by their code.
NO_ANSWERS: Mapping[str, Words] = {
    # On the way.
    "connect_error": ("no connection", "Check services.{service}.base_url, and that the service runs."),
    "connect_timeout": ("no connection within 5s", "Check host and port of base_url, and the firewall between."),
    "proxy_error": ("the proxy gives no connection", "Check HTTP_PROXY, HTTPS_PROXY and NO_PROXY of this machine."),
    "busy": ("too many calls in flight", "Try again in a moment."),
    "timeout": ("no answer within {timeout}", "Make it faster, or raise services.{service}.timeout."),
    "read_error": ("the connection broke while the answer was awaited", _OWN_LOG),
    "write_error": ("the connection broke while the request was sent", _OWN_LOG),
    "connection_lost": ("the service hung up without an answer", _OWN_LOG),
    "unreadable_answer": ("the answer can't be decoded", "Let the service send it uncompressed."),
    "protocol_error": ("what came back isn't HTTP", "Check scheme and port of services.{service}.base_url."),
    "transport_error": ("the connection failed", _BASE_URL),
    "redirected": ("the service redirects", "Give the final address in services.{service}.base_url."),
    "unexpected_status": ("the status is none that HTTP knows", _OWN_LOG),
    # Of our own making.
    "bad_request_built": (
        "the request can't be sent as HTTP",
        "Check the plan's headers for characters they can't have.",
    ),
    "bad_url": ("the address is none", "Write services.{service}.base_url with http:// or https:// and a host."),
    "internal_error": ("our own code failed", "Run it again with RETIREMENT_DEBUG=1, and report it."),
    "nothing_to_follow": ("there is no place to ask", "Remove `poll`: only HTTP services name places to ask."),
    # Credentials.
    "bad_token": ("the token has characters that a header can't have", "Check {references}: a line break, perhaps?"),
    "bad_api_key": ("the key has characters that a header can't have", "Check {references}: a line break, perhaps?"),
    "bad_basic_auth": ("user name or password can't be sent", "Check {references}: a colon in the user name, perhaps?"),
    "bad_client_credentials": ("client id or secret can't be sent", "Check {references}: is it text in UTF-8?"),
    "token_unusable": ("token_url answered without an access_token", "Check services.{service}.auth.token_url."),
    # Databases, by SQLSTATE where they tell one.
    "sql_connect_error": ("no connection to the database", f"{_DATABASE_URL[:-1]}, and that the database runs."),
    "sql_connect_refused": ("the database refuses us", "Check user and password in {references}."),
    "sql_connection_lost": ("the database hung up", "See the database's own log."),
    "sql_pool_timeout": ("no connection to the database was free", "Try again, or lower services.{service}.limits."),
    "sql_bad_url": ("the database's address is none", "Write it dialect+driver://user:password@host:port/database."),
    "sql_driver_missing": ("the database's driver isn't installed here", "Install it where the worker runs."),
    "sql_driver_async": (
        "the driver in database_url is an asynchronous one",
        "Name a plain one: postgresql+psycopg:// instead of postgresql+asyncpg://.",
    ),
    "sql_bad_statement": ("the statement can't be sent", _STATEMENT),
    "sql_bad_parameter": (
        "a value that the statement names is missing, or the database has no room for it",
        "Give each :name of the statement in `parameters`.",
    ),
    "sql_28000": ("the database doesn't let our user in", "Check the user in {references}, and its pg_hba.conf."),
    "sql_28P01": ("the database refuses our password", "Check user and password in {references}."),
    "sql_3D000": ("there is no such database", _DATABASE_URL),
    "sql_42501": ("our user may not do this", "Let the database's owner grant it: SELECT for what only reads."),
    "sql_42601": ("the statement isn't valid SQL", _STATEMENT),
    "sql_42703": ("there is no such column", _STATEMENT),
    "sql_42P01": ("there is no such table", f"{_STATEMENT} Is its schema named?"),
    "sql_53300": ("the database has no connection left", "Try again, or lower services.{service}.limits.concurrent."),
    "sql_sqlite_cantopen": ("the database's file can't be opened", _DATABASE_URL),
    "sql_sqlite_error": ("the statement fails: no such table or column, or no valid SQL", _STATEMENT),
    "sql_sqlite_busy": ("the database is locked by somebody else", "Try again in a moment."),
    # Python code.
    "call_unknown": (
        "no installed package offers this call",
        "Install the package where the worker runs; its entry point belongs to the group account_retirement.calls.",
    ),
    "call_ambiguous": ("two packages offer this call", "Uninstall one of them, or rename its entry point."),
    "call_not_loadable": ("the code can't be loaded", "Import it by hand where the worker runs."),
    "python_error": (
        "the code raises an exception of its own",
        "Raise NotThere, TryLater or Refused for what it expects.",
    ),
    "result_not_json": (
        "what the code returns can't be written as JSON",
        "Return texts, numbers, lists and dictionaries.",
    ),
    "result_too_large": ("what the code returns is over 1 MiB", "Return less: only what the plan reads."),
    "try_later": ("the code asks to be called later", "Try again later."),
    "stuck": ("earlier calls of this code still run", "Let the code heed `call.timeout`."),
}
