"""What `retire setup` makes. Each part looks first, makes what is missing, and bears another set-up beside it."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from starter.access import with_sign_of_life
from starter.errors import CommandError
from starter.exit_codes import ExitCode
from starter.output import Output

if TYPE_CHECKING:
    from temporalio.client import Client

    from worker.settings import Settings

#: How long histories of ended runs are kept in a namespace that we make. The ledger keeps the record for good.
RETENTION = timedelta(days=30)
#: A new namespace or attribute takes a while to be known to every part of the server.
_KNOWN_WITHIN_SECONDS = 60.0
_LOOK_EVERY_SECONDS = 0.3

MADE = "made"
THERE = "already there"


@dataclass(frozen=True, kw_only=True)
class Part:
    """One thing that has to be there, whether it was, and where."""

    name: str
    state: str
    where: str


async def prepare_ledger(settings: "Settings", *, create_keys: bool) -> list[Part]:
    """Tables, keys file, and the fingerprint by which the ledger recognises its keys."""
    from ledger.keys import Keys
    from ledger.ledger import Ledger
    from ledger.migrate import current_is_head, upgrade

    url, keys_file = settings.database_url, settings.keys_file
    tables = await asyncio.to_thread(current_is_head, url)
    await asyncio.to_thread(upgrade, url)
    keys = keys_file.exists()
    if not keys:
        await asyncio.to_thread(_make_keys, settings, create_keys=create_keys)
    ledger = Ledger(url=url, keys=Keys.load(keys_file))
    try:
        await ledger.set_up()
        await ledger.check()
    finally:
        ledger.close()
    return [
        Part(name="ledger", state=THERE if tables else MADE, where=shown_url(url)),
        Part(name="keys file", state=THERE if keys else MADE, where=str(keys_file)),
    ]


def _make_keys(settings: "Settings", *, create_keys: bool) -> None:
    from ledger.errors import KeysError
    from ledger.keys import Keys

    if not _is_new(settings.database_url):
        raise CommandError(
            f"The ledger belongs to a keys file that is not at {settings.keys_file}.",
            do="Set RETIREMENT_KEYS_FILE to where it is, or restore it from your backup of keys: "
            "with new keys nobody in the ledger would be found.",
            code=ExitCode.NOT_SET_UP,
        )
    if not create_keys:
        raise CommandError(
            f"There is no keys file at {settings.keys_file}.",
            do="Set RETIREMENT_KEYS_FILE to where it is, or let `retire setup` make one (--create-keys).",
            code=ExitCode.NOT_SET_UP,
        )
    try:
        Keys.create(settings.keys_file)
    except KeysError:
        # Another set-up was faster; any other trouble is told.
        if not settings.keys_file.exists():
            raise


def _is_new(url: str) -> bool:
    """Has the ledger never been tied to keys, and holds no case?"""
    from sqlalchemy import select

    from ledger import schema
    from ledger.database import engine_for

    engine = engine_for(url)
    try:
        with engine.begin() as connection:
            held = [select(schema.meta.c.name).limit(1), select(schema.cases.c.retirement_id).limit(1)]
            return not any(connection.execute(statement).first() for statement in held)
    finally:
        engine.dispose()


def shown_url(url: str) -> str:
    """A database URL without its password."""
    from sqlalchemy.engine import make_url

    return make_url(url).render_as_string(hide_password=True)


async def prepare_namespace(client: "Client", *, out: Output) -> Part:
    """The namespace, and that it answers."""
    from google.protobuf.duration_pb2 import Duration
    from temporalio.api.workflowservice.v1 import RegisterNamespaceRequest
    from temporalio.service import RPCError, RPCStatusCode

    state = THERE
    if not await _has_namespace(client):
        retention = Duration()
        retention.FromTimedelta(RETENTION)
        request = RegisterNamespaceRequest(
            namespace=client.namespace,
            description="Account retirements",
            workflow_execution_retention_period=retention,
        )
        try:
            await client.workflow_service.register_namespace(request)
            state = MADE
        except RPCError as error:
            # Another set-up was faster.
            if error.status is not RPCStatusCode.ALREADY_EXISTS:
                raise not_allowed("make the namespace", error) from None
    # Asked even where it was there: another set-up may have made it a moment ago.
    await _until(lambda: _answers(client), out=out, text=f"Waiting for the namespace {client.namespace} …")
    return Part(name="namespace", state=state, where=client.namespace)


async def _has_namespace(client: "Client") -> bool:
    from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
    from temporalio.service import RPCError, RPCStatusCode

    try:
        await client.workflow_service.describe_namespace(DescribeNamespaceRequest(namespace=client.namespace))
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return False
        raise
    return True


async def _answers(client: "Client") -> bool:
    """Does every part of the server know the namespace? Visibility and history learn of it last."""
    from temporalio.api.workflowservice.v1 import DescribeWorkflowExecutionRequest
    from temporalio.service import RPCError, RPCStatusCode

    request = DescribeWorkflowExecutionRequest(namespace=client.namespace)
    request.execution.workflow_id = "retirement-setup"
    try:
        await client.workflow_service.describe_workflow_execution(request)
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return "namespace" not in error.message.lower()
        raise
    return True


async def prepare_search_attributes(client: "Client", *, out: Output) -> Part:
    """The typed search attributes by which retirements are found in the UI."""
    from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest
    from temporalio.service import RPCError, RPCStatusCode

    from workflows.names import SEARCH_ATTRIBUTES

    wanted = {key.name: int(key.indexed_value_type) for key in SEARCH_ATTRIBUTES}
    missing = await _missing_attributes(client, wanted=wanted)
    if missing:
        request = AddSearchAttributesRequest(namespace=client.namespace)
        for name in missing:
            request.search_attributes[name] = wanted[name]  # type: ignore[assignment]  # the enum's numbers
        try:
            await client.operator_service.add_search_attributes(request)
        except RPCError as error:
            # Another set-up was faster; what it has left is seen below.
            if error.status is not RPCStatusCode.ALREADY_EXISTS:
                raise not_allowed(f"add the search attributes {', '.join(missing)}", error) from None

        async def are_known() -> bool:
            return not await _missing_attributes(client, wanted=wanted)

        await _until(are_known, out=out, text="Waiting for the search attributes …")
    return Part(name="search attributes", state=MADE if missing else THERE, where=", ".join(wanted))


async def _missing_attributes(client: "Client", *, wanted: dict[str, int]) -> list[str]:
    from temporalio.api.operatorservice.v1 import ListSearchAttributesRequest
    from temporalio.service import RPCError

    request = ListSearchAttributesRequest(namespace=client.namespace)
    try:
        known = (await client.operator_service.list_search_attributes(request)).custom_attributes
    except RPCError as error:
        raise not_allowed("read the search attributes", error) from None
    wrong = [name for name, kind in wanted.items() if name in known and known[name] != kind]
    if wrong:
        raise CommandError(
            f"The namespace {client.namespace} has {', '.join(wrong)} with another type, which can never change.",
            do="Use another namespace (TEMPORAL_NAMESPACE).",
            code=ExitCode.NOT_SET_UP,
        )
    return [name for name in wanted if name not in known]


def not_allowed(what: str, error: Exception) -> Exception:
    """Temporal Cloud and locked-down servers leave this to their own tools."""
    from temporalio.service import RPCError, RPCStatusCode

    refusals = (RPCStatusCode.PERMISSION_DENIED, RPCStatusCode.UNIMPLEMENTED, RPCStatusCode.UNAUTHENTICATED)
    if isinstance(error, RPCError) and error.status in refusals:
        return CommandError(
            f"Temporal does not let us {what}.",
            do="Do it with your server's own tool (Temporal Cloud: tcld), then run `retire setup` again.",
            code=ExitCode.NOT_SET_UP,
        )
    return error


async def _until(holds: Callable[[], Awaitable[bool]], *, out: Output, text: str) -> None:
    async def looking() -> None:
        while not await holds():  # noqa: ASYNC110 - another machine changes; there is no event to wait for
            await asyncio.sleep(_LOOK_EVERY_SECONDS)

    try:
        async with asyncio.timeout(_KNOWN_WITHIN_SECONDS):
            await with_sign_of_life(looking(), out=out, text=text)
    except TimeoutError:
        raise CommandError(
            "Temporal has accepted what was missing, but does not know it after a minute.",
            do="Run `retire setup` again; it is safe to repeat.",
            code=ExitCode.UNREACHABLE,
        ) from None
