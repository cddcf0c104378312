"""Create cases, their steps, messages and mails, the plans they run by, and the vault."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Every table of the first release."""
    op.create_table(
        "meta",
        sa.Column("name", sa.String(), nullable=False, comment="What is said about the ledger as a whole"),
        sa.Column("value", sa.String(), nullable=False, comment="Its value"),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_meta")),
    )
    op.create_table(
        "plans",
        sa.Column("digest", sa.String(), nullable=False, comment="Digest of the normalised plan"),
        sa.Column("name", sa.String(), nullable=False, comment="Name of the plan"),
        sa.Column("format", sa.Integer(), nullable=False, comment="Format of the document"),
        sa.Column("document", sa.JSON(), nullable=False, comment="The normalised plan; secrets are references"),
        sa.Column("stored_at", sa.DateTime(timezone=True), nullable=False, comment="When a case was given it first"),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_plans")),
    )
    op.create_table(
        "cases",
        sa.Column("retirement_id", sa.String(), nullable=False, comment="Opaque id, root of every idempotency key"),
        sa.Column("subject_key", sa.String(), nullable=False, comment="Keyed hash of tenant and user id"),
        sa.Column(
            "workflow_id", sa.String(), comment="Where to reach the run; null once closed, as it names the subject"
        ),
        sa.Column("state", sa.String(), nullable=False, comment="open, past_return, going_back or closed"),
        sa.Column("outcome", sa.String(), comment="COMPLETE, ABORTED or ERRORED; null while a run is at work"),
        sa.Column("reason", sa.String(), comment="Reason code of an abort"),
        sa.Column("direction", sa.String(), comment="forward or back: which way the case is resumed"),
        sa.Column("plan", sa.String(), nullable=False, comment="Name of the plan"),
        sa.Column("plan_digest", sa.String(), nullable=False, comment="The plan it runs by"),
        sa.Column("run_key", sa.String(), nullable=False, comment="First run id of the run at work, kept by a reset"),
        sa.Column("resumed_run_key", sa.String(), comment="Run key of the last resume"),
        sa.Column("request_id", sa.String(), comment="The caller's id of the request that opened it"),
        sa.Column("requested_by", sa.String(), comment="Opaque id of who asked"),
        sa.Column("reason_code", sa.String(), comment="Why, as a code"),
        sa.Column("tenant", sa.String(), comment="Tenant of the subject"),
        sa.Column("locale", sa.String(), comment="Language asked for in mails"),
        sa.Column(
            "requested_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="When it was asked for; legal clocks run from here",
        ),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False, comment="When the case was opened"),
        sa.Column(
            "cool_off_ends_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="Until when the person may change their mind",
        ),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False, comment="Legal deadline"),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False, comment="When state or outcome changed last"),
        sa.Column("closed_at", sa.DateTime(timezone=True), comment="When the case was closed"),
        sa.Column("hosts", sa.JSON(), nullable=False, comment="Resolved base address of each service"),
        sa.Column("present", sa.JSON(), comment="Steps whose probe saw the person at the check; null before it"),
        sa.Column("shredded_at", sa.DateTime(timezone=True), comment="When the vault entry went"),
        sa.ForeignKeyConstraint(["plan_digest"], ["plans.digest"], name=op.f("fk_cases_plan_digest")),
        sa.PrimaryKeyConstraint("retirement_id", name=op.f("pk_cases")),
    )
    op.create_index(op.f("ix_cases_opened_at"), "cases", ["opened_at"], unique=False)
    op.create_index(op.f("ix_cases_subject_key"), "cases", ["subject_key"], unique=False)
    op.create_index(
        "uq_cases_open_subject",
        "cases",
        ["subject_key"],
        unique=True,
        sqlite_where=sa.text("state <> 'closed'"),
        postgresql_where=sa.text("state <> 'closed'"),
    )
    op.create_table(
        "mails",
        sa.Column("id", sa.Integer(), nullable=False, comment="Order of arrival; rows are only added"),
        sa.Column("retirement_id", sa.String(), nullable=False, comment="The case"),
        sa.Column("mail", sa.String(), nullable=False, comment="Which mail"),
        sa.Column("number", sa.String(), nullable=False, comment="Tells mails of a kind apart"),
        sa.Column("result", sa.String(), nullable=False, comment="sent, given_up, no_address or later"),
        sa.Column("code", sa.String(), comment="Why, as a code"),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False, comment="When"),
        sa.ForeignKeyConstraint(["retirement_id"], ["cases.retirement_id"], name=op.f("fk_mails_retirement_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_mails")),
    )
    op.create_index(op.f("ix_mails_retirement_id"), "mails", ["retirement_id"], unique=False)
    op.create_table(
        "messages",
        sa.Column("id", sa.Integer(), nullable=False, comment="Order of arrival; rows are only added"),
        sa.Column("retirement_id", sa.String(), nullable=False, comment="The case"),
        sa.Column("kind", sa.String(), nullable=False, comment="rescind, extend, expedite, decide or cancel"),
        sa.Column("accepted", sa.Boolean(), nullable=False, comment="Was it accepted?"),
        sa.Column("code", sa.String(), nullable=False, comment="The answer, as a code"),
        sa.Column("sent_by", sa.String(), comment="Opaque id of the sender"),
        sa.Column("reason_code", sa.String(), comment="Why, as a code"),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False, comment="When it arrived"),
        sa.ForeignKeyConstraint(["retirement_id"], ["cases.retirement_id"], name=op.f("fk_messages_retirement_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_messages")),
    )
    op.create_index(op.f("ix_messages_retirement_id"), "messages", ["retirement_id"], unique=False)
    op.create_table(
        "outcomes",
        sa.Column("id", sa.Integer(), nullable=False, comment="Order of arrival; rows are only added"),
        sa.Column("retirement_id", sa.String(), nullable=False, comment="The case"),
        sa.Column("step", sa.String(), nullable=False, comment="Step id of the plan"),
        sa.Column("action", sa.String(), nullable=False, comment="do or undo"),
        sa.Column("result", sa.String(), nullable=False, comment="How it ended"),
        sa.Column("code", sa.String(), comment="Why it ended so, as a code"),
        sa.Column("detail", sa.String(), comment="Method, path template and status"),
        sa.Column("until", sa.DateTime(timezone=True), comment="End of a retention"),
        sa.Column("decided_by", sa.String(), comment="Opaque id of who skipped it"),
        sa.Column("ended_at", sa.DateTime(timezone=True), comment="When it ended"),
        sa.ForeignKeyConstraint(["retirement_id"], ["cases.retirement_id"], name=op.f("fk_outcomes_retirement_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outcomes")),
    )
    op.create_index(op.f("ix_outcomes_retirement_id"), "outcomes", ["retirement_id"], unique=False)
    op.create_table(
        "requests",
        sa.Column("subject_key", sa.String(), nullable=False, comment="Keyed hash of tenant and user id"),
        sa.Column("request_id", sa.String(), nullable=False, comment="A caller's id that has opened or resumed a case"),
        sa.Column("retirement_id", sa.String(), nullable=False, comment="That case"),
        sa.ForeignKeyConstraint(["retirement_id"], ["cases.retirement_id"], name=op.f("fk_requests_retirement_id")),
        sa.PrimaryKeyConstraint("subject_key", "request_id", name=op.f("pk_requests")),
    )
    op.create_table(
        "resumes",
        sa.Column("id", sa.Integer(), nullable=False, comment="Order of arrival; rows are only added"),
        sa.Column("retirement_id", sa.String(), nullable=False, comment="The case"),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False, comment="When it was resumed"),
        sa.Column("run_key", sa.String(), nullable=False, comment="First run id of the run that resumed it"),
        sa.Column("direction", sa.String(), nullable=False, comment="forward or back"),
        sa.Column("plan_digest", sa.String(), nullable=False, comment="The plan it ran by from then on"),
        sa.Column("requested_by", sa.String(), comment="Opaque id of who asked"),
        sa.Column("reason_code", sa.String(), comment="Why, as a code"),
        sa.ForeignKeyConstraint(["plan_digest"], ["plans.digest"], name=op.f("fk_resumes_plan_digest")),
        sa.ForeignKeyConstraint(["retirement_id"], ["cases.retirement_id"], name=op.f("fk_resumes_retirement_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_resumes")),
    )
    op.create_index(op.f("ix_resumes_retirement_id"), "resumes", ["retirement_id"], unique=False)
    op.create_table(
        "steps",
        sa.Column("retirement_id", sa.String(), nullable=False, comment="The case"),
        sa.Column("step", sa.String(), nullable=False, comment="Step id of the plan, or what tells a mail apart"),
        sa.Column("action", sa.String(), nullable=False, comment="do, undo or mail"),
        sa.Column("service", sa.String(), comment="Service of the plan that was asked"),
        sa.Column("result", sa.String(), comment="How it ended; null before that"),
        sa.Column("code", sa.String(), comment="Why it ended so, as a code"),
        sa.Column("detail", sa.String(), comment="Method, path template and status"),
        sa.Column("until", sa.DateTime(timezone=True), comment="End of a retention"),
        sa.Column("decided_by", sa.String(), comment="Opaque id of who skipped it"),
        sa.Column("ended_at", sa.DateTime(timezone=True), comment="When it ended"),
        sa.Column(
            "first_failed_at", sa.DateTime(timezone=True), comment="First failed attempt; patience counts from here"
        ),
        sa.Column("failures", sa.Integer(), nullable=False, comment="Failed attempts since the last success or resume"),
        sa.Column("last_code", sa.String(), comment="Code of the last failed attempt"),
        sa.Column("touched", sa.Boolean(), nullable=False, comment="It may have taken effect without an outcome"),
        sa.Column("lies", sa.Integer(), nullable=False, comment="How often the service said done wrongly"),
        sa.ForeignKeyConstraint(["retirement_id"], ["cases.retirement_id"], name=op.f("fk_steps_retirement_id")),
        sa.PrimaryKeyConstraint("retirement_id", "step", "action", name=op.f("pk_steps")),
    )
    op.create_table(
        "vault",
        sa.Column("retirement_id", sa.String(), nullable=False, comment="The case"),
        sa.Column("key_id", sa.String(), nullable=False, comment="Key of the ring that wraps the data key"),
        sa.Column("wrapped_key", sa.LargeBinary(), nullable=False, comment="The case's data key, wrapped"),
        sa.ForeignKeyConstraint(["retirement_id"], ["cases.retirement_id"], name=op.f("fk_vault_retirement_id")),
        sa.PrimaryKeyConstraint("retirement_id", name=op.f("pk_vault")),
    )
    op.create_table(
        "vault_fields",
        sa.Column("retirement_id", sa.String(), nullable=False, comment="The case"),
        sa.Column("field", sa.String(), nullable=False, comment="subject, or saved. and a step id"),
        sa.Column("sealed", sa.LargeBinary(), nullable=False, comment="Values, encrypted under the data key"),
        sa.ForeignKeyConstraint(["retirement_id"], ["vault.retirement_id"], name=op.f("fk_vault_fields_retirement_id")),
        sa.PrimaryKeyConstraint("retirement_id", "field", name=op.f("pk_vault_fields")),
    )
    op.create_table(
        "vault_holders",
        sa.Column("retirement_id", sa.String(), nullable=False, comment="The case"),
        sa.Column("holder", sa.String(), nullable=False, comment="Who still needs the entry: run, mail"),
        sa.Column(
            "until", sa.DateTime(timezone=True), comment="When the hold ends by itself; null while the case is open"
        ),
        sa.ForeignKeyConstraint(
            ["retirement_id"], ["vault.retirement_id"], name=op.f("fk_vault_holders_retirement_id")
        ),
        sa.PrimaryKeyConstraint("retirement_id", "holder", name=op.f("pk_vault_holders")),
    )
    op.create_index(op.f("ix_vault_holders_until"), "vault_holders", ["until"], unique=False)


def downgrade() -> None:
    """There is no way back: without these tables nobody could say who was erased, or finish it."""
    raise NotImplementedError("before this migration there was no ledger; restore a backup, or delete the database")
