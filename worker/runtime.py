"""Puts a worker together: clients, activities, queues. The only place where activity classes are built."""

import logging
from datetime import timedelta

from temporalio.client import Client
from temporalio.runtime import (
    LogForwardingConfig,
    LoggingConfig,
    PrometheusConfig,
    Runtime,
    TelemetryConfig,
    TelemetryFilter,
)
from temporalio.worker import UnsandboxedWorkflowRunner, Worker, WorkflowRunner

from activities.actions.dispatch import Actions
from activities.cases import CaseActivities
from activities.follow_ups import FollowUpActivities
from activities.mail import MailActivities
from activities.mirror import MirrorActivities
from activities.smtp import SmtpSettings
from activities.steps import StepActivities
from activities.transfers import TransferActivities
from ledger.ledger import Ledger
from plans.loading import Plans
from worker.attempt_log import AttemptLog
from worker.heartbeats import Heartbeats
from worker.settings import Settings
from workflows.deliver_mail import DeliverMail
from workflows.follow_up import FollowUp
from workflows.names import MAIN, QUEUE, calls_queue
from workflows.retire_user import RetireUser
from workflows.transfer_ownership import TransferOwnership

#: A cached workflow whose worker was killed is handed to another one after this.
_STICKY_TIMEOUT = timedelta(seconds=5)
#: A cancelled freeze step hears of it with a heartbeat.
_HEARTBEAT_THROTTLE = timedelta(seconds=1)
_CALLS_AT_ONCE = 200
#: The sandbox imports every module again for each run, a third of a worker's time. What it would refuse is refused earlier:
#: the import contracts keep I/O out of workflows/, stored histories are replayed, and one test runs a life inside the sandbox.
WORKFLOW_RUNNER = UnsandboxedWorkflowRunner()


def telemetry(settings: Settings) -> Runtime:
    """Core's logs go through Python's, without their fields (workflow ids are among them); metrics where they are asked for."""
    return Runtime(
        telemetry=TelemetryConfig(
            logging=LoggingConfig(
                filter=TelemetryFilter(core_level="WARN", other_level="ERROR"),
                forwarding=LogForwardingConfig(
                    logger=logging.getLogger("temporalio.core"), append_log_fields_to_message=False
                ),
            ),
            metrics=PrometheusConfig(bind_address=settings.metrics_address) if settings.metrics_address else None,
        )
    )


def build_workers(
    *,
    client: Client,
    settings: Settings,
    ledger: Ledger,
    plans: Plans,
    actions: Actions,
    workflow_runner: WorkflowRunner = WORKFLOW_RUNNER,
) -> list[Worker]:
    """The workers of a process: one for workflows, ledger and mail, and one a queue for calls of services."""
    steps = StepActivities(ledger=ledger, action=actions)
    mirror = MirrorActivities(ledger=ledger, action=actions)
    follow_ups = FollowUpActivities(ledger=ledger, action=actions)
    workers = []
    for queue in settings.queues:
        if queue == MAIN:
            workers.append(_records(client, settings, ledger, plans, workflow_runner))
        task_queue = calls_queue(None if queue == MAIN else queue)
        workers.append(_calls(client, settings, steps, mirror, follow_ups, task_queue=task_queue))
    return workers


def _records(
    client: Client, settings: Settings, ledger: Ledger, plans: Plans, workflow_runner: WorkflowRunner
) -> Worker:
    cases = CaseActivities(ledger=ledger, plans=plans)
    transfers = TransferActivities(ledger=ledger)
    mails = MailActivities(ledger=ledger, smtp=_smtp(settings), templates_dir=settings.templates_dir)
    return Worker(
        client,
        task_queue=QUEUE,
        workflows=[RetireUser, TransferOwnership, DeliverMail, FollowUp],
        activities=[
            cases.open_case,
            cases.pass_point_of_no_return,
            cases.turn_back,
            cases.record_messages,
            cases.close_case,
            transfers.take_up_transfer,
            mails.send_mail,
        ],
        workflow_runner=workflow_runner,
        interceptors=[AttemptLog(), Heartbeats()],
        sticky_queue_schedule_to_start_timeout=_STICKY_TIMEOUT,
        max_heartbeat_throttle_interval=_HEARTBEAT_THROTTLE,
        graceful_shutdown_timeout=settings.graceful_shutdown,
    )


def _calls(
    client: Client,
    settings: Settings,
    steps: StepActivities,
    mirror: MirrorActivities,
    follow_ups: FollowUpActivities,
    *,
    task_queue: str,
) -> Worker:
    return Worker(
        client,
        task_queue=task_queue,
        activities=[
            steps.check_subject,
            steps.check_transfer,
            steps.run_step,
            steps.undo_step,
            steps.verify_erasure,
            mirror.mirror_end,
            mirror.cancel_at_source,
            follow_ups.follow_up,
        ],
        interceptors=[AttemptLog(), Heartbeats()],
        max_concurrent_activities=_CALLS_AT_ONCE,
        max_heartbeat_throttle_interval=_HEARTBEAT_THROTTLE,
        graceful_shutdown_timeout=settings.graceful_shutdown,
    )


def _smtp(settings: Settings) -> SmtpSettings:
    return SmtpSettings(
        host=settings.smtp_host,
        port=settings.smtp_port,
        tls=settings.smtp_tls,
        user=settings.smtp_user,
        password=settings.smtp_password.get_secret_value() if settings.smtp_password else None,
        timeout=settings.smtp_timeout,
    )
