"""What has to be true before a worker may poll. A worker that polled without it would fail every task it takes."""

from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import ListSearchAttributesRequest
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from activities.actions.wire import BadAddress
from activities.addresses import address_of
from ledger.ledger import Ledger
from plans.loading import PlanError, Plans
from plans.secrets import SecretMissing
from workflows.names import MAIN, SEARCH_ATTRIBUTES


class NotReady(Exception):
    """Something is missing. The text says what, and what to do."""


async def check_temporal(client: Client) -> None:
    """Is the namespace there, with our search attributes?

    Raises:
        NotReady: with the command that makes what is missing.
    """
    try:
        await client.workflow_service.describe_namespace(DescribeNamespaceRequest(namespace=client.namespace))
        listed = await client.operator_service.list_search_attributes(
            ListSearchAttributesRequest(namespace=client.namespace)
        )
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            raise NotReady(f"namespace {client.namespace} is not there; run: retire setup") from None
        raise NotReady(f"Temporal answers {error.status.name}; check its address and this worker's rights") from None
    missing, wrong = [], []
    for attribute in SEARCH_ATTRIBUTES:
        registered = listed.custom_attributes.get(attribute.name)
        if registered is None:
            missing.append(attribute.name)
        elif registered != IndexedValueType.ValueType(attribute.indexed_value_type):
            wrong.append(attribute.name)
    if missing:
        raise NotReady(f"search attributes {', '.join(missing)} are not registered; run: retire setup")
    if wrong:
        raise NotReady(f"search attributes {', '.join(wrong)} have another type; use a namespace of its own")


async def check_ledger(ledger: Ledger) -> None:
    """Are the migrations in place, and do the keys belong to this ledger?

    Raises:
        NotReady: with what to do.
    """
    try:
        await ledger.check()
    except Exception as error:
        raise NotReady(str(error)) from None


def check_plans(plans: Plans, *, default: str, queues: tuple[str, ...]) -> tuple[str, ...]:
    """Can every plan be read, and is the address known here of each service that this worker calls?

    Returns:
        What is missing for plans other than the default: nobody need use them here, and a start that names one is refused.

    Raises:
        NotReady: with file, line and what to mend.
    """
    try:
        loaded = [plans.get(name) for name in plans.names()]
    except PlanError as error:
        raise NotReady(str(error)) from None
    unusable = []
    for plan in loaded:
        for id, service in plan.services.items():
            if (service.queue or MAIN) not in queues:
                continue
            try:
                address_of(service)
            except (SecretMissing, BadAddress) as missing:
                problem = f"plan {plan.plan}, service {id}: {missing}"
                if plan.plan == default:
                    raise NotReady(problem) from None
                unusable.append(problem)
    return tuple(unusable)
