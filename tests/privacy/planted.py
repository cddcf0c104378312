"""A run that puts personal data into every place where Temporal keeps something: so that the search is seen to find it there."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from temporalio import activity, workflow
from temporalio.api.common.v1 import Payload
from temporalio.client import Client, Interceptor, OutboundInterceptor, StartWorkflowInput, WorkflowHandle
from temporalio.common import SearchAttributePair, TypedSearchAttributes
from temporalio.exceptions import ApplicationError
from temporalio.worker import Worker

from workflows.names import TENANT_ATTRIBUTE


def planted(place: str) -> str:
    """What is put into a place."""
    return f"gepfl\u00e4nzt-in-{place}"


@activity.defn(name="planted")
async def fail_with_all() -> None:
    """Fails as ours must not."""
    activity.heartbeat(planted("heartbeat"))
    raise ValueError(planted("activity"))


@workflow.defn(name="Planted")
class Planted:
    """Says all it should not."""

    def __init__(self) -> None:
        self._told = False

    @workflow.run
    async def run(self, value: Any) -> None:
        """Waits for the signal with a call that keeps failing, then fails itself."""
        workflow.set_current_details(planted("details"))
        call = workflow.start_activity(
            "planted", start_to_close_timeout=timedelta(seconds=10), summary=planted("summary")
        )
        await workflow.wait_condition(lambda: self._told)
        call.cancel()
        raise ApplicationError(planted("failure"), planted("result"))

    @workflow.signal
    def tell(self, value: Any) -> None:
        """Lets it go on."""
        self._told = True

    @workflow.query
    def ask(self) -> str:
        """An answer that is in no history."""
        return planted("query")


class _Header(Interceptor):
    def intercept_client(self, next: OutboundInterceptor) -> OutboundInterceptor:
        return _HeaderOutbound(next)


class _HeaderOutbound(OutboundInterceptor):
    async def start_workflow(self, input: StartWorkflowInput) -> WorkflowHandle[Any, Any]:
        input.headers = {"planted": Payload(data=planted("header").encode())}
        return await super().start_workflow(input)


@asynccontextmanager
async def planting(address: str) -> AsyncIterator[WorkflowHandle[Any, Any]]:
    """Run it until its call has failed; told to go on at the end of the block, it fails as well."""
    client = await Client.connect(address, interceptors=[_Header()])
    queue = planted("queue")
    attributes = TypedSearchAttributes([SearchAttributePair(TENANT_ATTRIBUTE, planted("attribute"))])
    async with Worker(client, task_queue=queue, workflows=[Planted], activities=[fail_with_all], debug_mode=True):
        handle: WorkflowHandle[Any, Any] = await client.start_workflow(
            "Planted",
            {"value": planted("input")},
            id=planted("workflow-id"),
            task_queue=queue,
            memo={"planted": planted("memo")},
            search_attributes=attributes,
            static_summary=planted("summary"),
            static_details=planted("details"),
        )
        yield handle
        await handle.signal("tell", planted("signal"))
        async with asyncio.timeout(30):
            while (await handle.describe()).close_time is None:
                pass
