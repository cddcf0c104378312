"""Every kind of retirement, of canaries: what can end well, go wrong, be said and be broken on the way."""

import asyncio
import itertools
import json
import signal
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

from temporalio.api.common.v1 import Payload, Payloads, WorkflowExecution
from temporalio.api.workflowservice.v1 import SignalWorkflowExecutionRequest
from temporalio.client import WorkflowFailureError, WorkflowHandle
from temporalio.common import RawValue

from sandbox.client import Person
from sandbox.faults import FaultKind
from tests.privacy import faulty_worker, hand_overs, learners
from tests.privacy.places import KEPT, TOLD, Grounds
from tests.support.stage import LONGEST_WAIT
from tests.support.waiting import eventually
from workflows import names
from workflows.messages import Result, Status

Handle = WorkflowHandle[Any, Any]


class Play:
    """The retirements, and how each of them ended."""

    def __init__(self, grounds: Grounds) -> None:
        self.grounds = grounds
        self.hand_overs = hand_overs.HandOvers(self)
        self.learners = learners.Learners(self)
        self.ended: dict[str, str] = {}
        #: The answers of `status`, as clients see them.
        self.statuses: list[bytes] = []
        #: Every language of the mails, and what a careless service calls one.
        self._locales = itertools.cycle(("de", "ar_EG", "en", KEPT.name))

    def person(self, user_id: str, **details: Any) -> Person:
        """A canary, known to every service."""
        person = KEPT.person(user_id, locale=next(self._locales), **details)
        self.grounds.sandbox.add_people([person], at=("accounts", "forum", "invoices", "newsletter"))
        return person

    async def start(self, user_id: str, *, known: bool = True, **fields: Any) -> Handle:
        """Start a retirement as a backend does."""
        if known:
            await asyncio.to_thread(self.person, user_id)
        return await self.grounds.client.start_workflow(
            names.WORKFLOW_TYPE,
            {"user_id": user_id, "cool_off": "0s", **fields},
            id=names.workflow_id(user_id=user_id),
            task_queue=names.QUEUE,
        )

    async def status(self, handle: Handle) -> Status:
        """Ask where it stands, and keep the answer for the search."""
        raw = await handle.query(names.STATUS)
        self.statuses.append(json.dumps(raw).encode())
        return Status.model_validate(raw)

    async def reaches(self, handle: Handle, phase: names.Phase, *, held: bool = False) -> None:
        """Wait for a phase, or for a hold in it."""

        async def look() -> None:
            status = await self.status(handle)
            if status.outcome is not None:
                raise RuntimeError(f"ended instead: {status}")
            assert status.phase == phase and bool(status.held) is held, status

        await eventually(look, within=LONGEST_WAIT)

    async def end(self, handle: Handle) -> str:
        """Wait for the end: `COMPLETE`, `ABORTED freeze_failed`, `ERRORED forum`, `BadRequest`."""
        try:
            async with asyncio.timeout(LONGEST_WAIT):
                result = Result.model_validate(await handle.result())
        except TimeoutError:
            raise AssertionError(f"{handle.id} goes on: {await self.status(handle)}") from None
        except WorkflowFailureError as failure:
            error: Any = failure.cause
            ended = str(error.type)
            if error.type == names.ERRORED_ERROR:
                ended = "ERRORED " + ",".join(Result.model_validate(error.details[0]).failed)
        else:
            ended = f"{result.outcome} {result.reason or ''}".strip()
        self.ended[handle.id.removeprefix(names.WORKFLOW_ID_PREFIX)] = ended
        await self.status(handle)
        return ended

    # --- with a sound worker -----------------------------------------------------------------------------------------

    async def complete(self) -> None:
        """With a reminder, an extension, services that hiccup and say too much while they do, and a mail each time."""
        services = self.grounds.sandbox
        user = "u-complete"
        services.newsletter.misbehave(FaultKind.ECHO, status=503, user=user, times=2, method="POST")
        services.forum.misbehave(FaultKind.ECHO, status=500, user=user, times=1, method="GET")
        handle = await self.start(user, cool_off="30s")
        await self.reaches(handle, names.Phase.COOL_OFF)
        # The reminder comes half a minute before the end.
        until = datetime.now(UTC) + timedelta(seconds=32)
        await handle.execute_update(names.EXTEND, {"until": until.isoformat(), "by": "support-7"})

        def reminded() -> None:
            told = [mail for mail in self.grounds.mailbox.deliveries if user in mail.recipients[0]]
            assert len(told) == 3

        await eventually(reminded, within=LONGEST_WAIT)
        await handle.execute_update(names.EXPEDITE, {"by": "support-7"})
        await self.end(handle)

    async def rescinded(self) -> None:
        handle = await self.start("u-rescinded", cool_off="14d")
        await self.reaches(handle, names.Phase.COOL_OFF)
        await handle.execute_update(names.RESCIND, {"by": "support-7"})
        await self.end(handle)

    async def cancelled(self) -> None:
        handle = await self.start("u-cancelled", cool_off="14d")
        await self.reaches(handle, names.Phase.COOL_OFF)
        await handle.cancel()
        await self.end(handle)

    async def refused(self) -> None:
        """Nobody of that name; and a second start of somebody who is complete."""
        await self.end(await self.start("u-nobody", known=False))
        await self.end(await self.start("u-twice"))
        await self.end(await self.start("u-twice"))

    async def freeze_failed(self) -> None:
        self.grounds.sandbox.accounts.misbehave(
            FaultKind.ECHO, status=422, user="u-freeze-failed", method="POST", path_prefix="/users/u-freeze-failed/lock"
        )
        await self.end(await self.start("u-freeze-failed"))

    async def lookup_failed(self) -> None:
        self.grounds.sandbox.accounts.misbehave(FaultKind.ECHO, status=500, user="u-lookup-failed", times=None)
        await self.end(await self.start("u-lookup-failed"))

    async def judged(self) -> None:
        """Refused by a rule, by a claim that says who they are, by facts that nobody tells; all found out about them alone."""
        accounts, forum = self.grounds.sandbox.accounts, self.grounds.sandbox.forum
        nests = {"u-not-eligible": "one", "u-claims": "two", "u-claim-lost": "two", "u-facts-failed": "none"}
        for user, nest in nests.items():
            await asyncio.to_thread(self.person, user, roles=(f"{KEPT.name}'s {nest} nest",))
        lost = quote(f"{KEPT.name}'s none nest", safe="")
        accounts.misbehave(FaultKind.ECHO, status=500, path_prefix=f"/roles/{lost}", times=None)
        forum.misbehave(FaultKind.ECHO, status=422, user="u-claims", method="DELETE", times=None)

        async def retire(user: str) -> None:
            await self.end(await self.start(user, known=False, plan="judged"))

        await asyncio.gather(retire("u-not-eligible"), retire("u-claims"), retire("u-facts-failed"))
        await retire("u-claim-lost")

    async def errored(self) -> None:
        """Forward, by a refusal and out of patience; then resumed."""
        services = self.grounds.sandbox
        services.forum.misbehave(FaultKind.ECHO, status=422, user="u-errored", method="DELETE")
        services.accounts.misbehave(FaultKind.ECHO, status=503, user="u-impatient", method="DELETE", times=5)
        for user, plan in (("u-errored", "sandbox"), ("u-impatient", "impatient")):
            assert (await self.end(await self.start(user, plan=plan))).startswith("ERRORED")
            self.ended[f"{user} before"] = self.ended[user]
        # Only now: each run is the last of its workflow id.
        for user in ("u-errored", "u-impatient"):
            case = json.loads(await self.grounds.retire("status", user, "--json"))["retirement_id"]
            await self.grounds.retire("resume", case, "--by", "ops-3", "--wait")
            await self.end(self.grounds.client.get_workflow_handle(names.workflow_id(user_id=user)))

    async def held(self) -> None:
        """Held for credentials, told so with all that is known of the person; one of them is left so."""
        services = self.grounds.sandbox
        services.forum.misbehave(FaultKind.ECHO, status=401, user="u-held", method="DELETE", times=None)
        services.accounts.misbehave(FaultKind.ECHO, status=401, user="u-held-closed", method="GET", times=None)
        held, closed = await self.start("u-held"), await self.start("u-held-closed")
        await self.reaches(held, names.Phase.ERASE, held=True)
        await self.reaches(closed, names.Phase.CHECK, held=True)
        await closed.execute_update(names.DECIDE, {"step": "check", "decision": "close", "by": "ops-3"})
        await self.end(closed)

    async def retried(self) -> None:
        """Stays at a call that is being tried again, so that the server's picture of a pending call is searched, too."""
        self.grounds.sandbox.forum.misbehave(FaultKind.ECHO, status=503, user="u-retried", method="DELETE", times=None)
        handle = await self.start("u-retried")

        async def tried() -> None:
            pending = (await handle.describe()).raw_description.pending_activities
            assert any(each.attempt > 1 and each.HasField("last_failure") for each in pending)

        await eventually(tried, within=LONGEST_WAIT)

    async def mailed(self) -> None:
        """Mail that is refused for good, and mail that is taken later, each refusal with the address and more."""
        await self.end(await self.start("u-bounce"))
        await self.end(await self.start("u-late"))

    async def told(self) -> None:
        """Messages with personal data where ids and codes belong: in free text, in numbers' places, in no known shape."""
        client = self.grounds.client
        handle = await self.start("u-told", cool_off="14d")
        await self.reaches(handle, names.Phase.COOL_OFF)
        free = {"by": TOLD.email, "reason_code": f"{TOLD.name} changed their mind", TOLD.username: TOLD.phone}
        await handle.signal(names.EXTEND, {**free, "until": TOLD.phone})
        await handle.execute_update(names.EXTEND, {**free, "by_duration": TOLD.name})
        await handle.execute_update(names.DECIDE, {**free, "step": TOLD.name, "decision": TOLD.email})
        await handle.execute_update(names.EXPEDITE, args=[TOLD.name, free])
        await handle.signal(
            names.EXTEND, RawValue(Payload(metadata={"encoding": b"json/plain"}, data=TOLD.name.encode()))
        )
        unknown = {"encoding": b"of/" + TOLD.username.encode()}
        await client.workflow_service.signal_workflow_execution(
            SignalWorkflowExecutionRequest(
                namespace=client.namespace,
                workflow_execution=WorkflowExecution(workflow_id=handle.id),
                signal_name=names.RESCIND,
                input=Payloads(payloads=[Payload(metadata=unknown, data=TOLD.email.encode())]),
            )
        )
        await handle.execute_update(names.RESCIND, free)
        await self.end(handle)

    async def bad_starts(self) -> None:
        """Starts that can't be used, for what is personal in them; each is answered by the name of a field."""
        starts: list[dict[Any, Any]] = [
            {TOLD.username: TOLD.name},
            {TOLD.email: 1},
            {"plan": TOLD.email},
            {"plan": f"../{TOLD.domain}"},
            {"locale": TOLD.name},
            {"cool_off": TOLD.phone},
            {"requested_at": TOLD.phone},
            {"requested_by": TOLD.email},
            {"tenant": TOLD.name},
            {"skip": [{"step": TOLD.name, "by": TOLD.email, "reason_code": TOLD.phone}]},
            {"again": TOLD.name},
            {"resume": TOLD.email},
        ]
        for number, fields in enumerate(starts):
            await self.end(await self.start(f"u-bad-{number}", known=False, **fields))

    async def commands(self) -> None:
        """What support and operators ask for, in both forms."""
        listed = json.loads(await self.grounds.retire("list", "--json"))
        case = listed["retirements"][0]["retirement_id"]
        some = asyncio.Semaphore(3)

        async def retire(*arguments: str) -> None:
            async with some:
                await self.grounds.retire(*arguments)

        await asyncio.gather(
            retire("list"),
            retire("status", "u-complete"),
            retire("status", "u-held", "--json"),
            retire("status", "u-retried"),
            retire("status", "u-not-eligible"),
            retire("start", "u-held", "--dry-run"),
            retire("start", "u-complete", "--wait"),
            retire("rescind", "u-rescinded", "--by", "support-7"),
            retire("report", case),
            retire("report", case, "--json"),
            retire("assets", hand_overs.STUCK, "--plan", "team", "--json"),
            retire("suggest", hand_overs.STUCK, "--plan", "team"),
            retire("start", hand_overs.STUCK, "--plan", "team", "--dry-run"),
        )
        await self.learners.commands()

    async def act_one(self) -> None:
        """All that happens while the worker is sound."""
        await asyncio.gather(
            self.complete(),
            self.rescinded(),
            self.cancelled(),
            self.refused(),
            self.freeze_failed(),
            self.lookup_failed(),
            self.judged(),
            self.errored(),
            self.held(),
            self.retried(),
            self.mailed(),
            self.told(),
            self.bad_starts(),
            self.hand_overs.all(),
            self.learners.act_one(),
        )

    # --- with a worker that is killed, and one with mistakes in it ---------------------------------------------------

    async def killed(self) -> Handle:
        """kill -9 while a call is under way."""
        user = "u-killed"
        forum = self.grounds.sandbox.forum
        forum.misbehave(FaultKind.SLOW, seconds=2, user=user, method="DELETE")
        handle = await self.start(user)

        async def called() -> None:
            requests = await asyncio.to_thread(forum.requests, user)
            assert [request for request in requests if request.method == "DELETE"]

        await eventually(called, within=LONGEST_WAIT)
        await self.grounds.stop_worker(self.grounds.processes[-1], signal.SIGKILL)
        return handle

    async def act_two(self, killed: Handle, *, learner: Handle) -> None:
        """What comes after a crash, and what a worker does that has mistakes in it."""
        mailing = await self.start(faulty_worker.IN_MAIL)
        handing_over = await self.hand_overs.start_with_mistakes()
        await asyncio.gather(
            self.end(killed),
            self.end(await self.start(faulty_worker.IN_CALL, plan="impatient")),
            self.end(await self.start(faulty_worker.IN_LEDGER)),
            self.end(mailing),
            self.end(handing_over),
            self.learners.act_two(learner),
        )
        unsent = {
            names.mail_workflow_id(retirement_id=(await self.status(handle)).retirement_id or "", mail=mail)
            for handle, mail in ((mailing, names.Mail.COMPLETE), (handing_over, names.Mail.HANDOVER))
        }

        async def put_off() -> None:
            delivery = [run.id async for run in self.grounds.client.list_workflows("WorkflowType = 'DeliverMail'")]
            assert unsent <= set(delivery), delivery

        await eventually(put_off, within=LONGEST_WAIT)


#: How each of them has to end, so that what was searched did happen.
ENDS = {
    "u-complete": "COMPLETE",
    "u-rescinded": "ABORTED rescinded",
    "u-cancelled": "ABORTED rescinded",
    "u-nobody": "ABORTED no_such_subject",
    "u-twice": "ABORTED already_complete",
    "u-freeze-failed": "ABORTED freeze_failed",
    "u-lookup-failed": "ABORTED lookup_failed",
    "u-not-eligible": "ABORTED not_eligible",
    "u-claims": "ERRORED forum",
    "u-claim-lost": "ABORTED claim_lost",
    "u-facts-failed": "ABORTED lookup_failed",
    "u-errored before": "ERRORED forum",
    "u-errored": "COMPLETE",
    "u-impatient before": "ERRORED profile",
    "u-impatient": "COMPLETE",
    "u-held-closed": "ABORTED hold_expired",
    "u-bounce": "COMPLETE",
    "u-late": "COMPLETE",
    "u-told": "ABORTED rescinded",
    "u-killed": "COMPLETE",
    faulty_worker.IN_CALL: "ERRORED forum",
    faulty_worker.IN_LEDGER: "COMPLETE",
    faulty_worker.IN_MAIL: "COMPLETE",
    **{f"u-bad-{number}": "BadRequest" for number in range(12)},
    **hand_overs.ENDS,
    **learners.ENDS,
}
