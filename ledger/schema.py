"""The ledger's tables. A change here needs a migration: a test finds any difference between the two."""

from datetime import UTC, datetime

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    TypeDecorator,
    text,
)

#: Names for what a later migration may have to change; SQLite and PostgreSQL would each invent their own.
NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


class UtcDateTime(TypeDecorator[datetime]):
    """An instant. Naive ones are refused; SQLite, which knows no zones, is given UTC."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Store UTC."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a datetime without a zone can't be stored")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Give UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


metadata = MetaData(naming_convention=NAMING)

meta = Table(
    "meta",
    metadata,
    Column("name", String, primary_key=True, comment="What is said about the ledger as a whole"),
    Column("value", String, nullable=False, comment="Its value"),
)

plans = Table(
    "plans",
    metadata,
    Column("digest", String, primary_key=True, comment="Digest of the normalised plan"),
    Column("name", String, nullable=False, comment="Name of the plan"),
    Column("format", Integer, nullable=False, comment="Format of the document"),
    Column("document", JSON, nullable=False, comment="The normalised plan; secrets are references"),
    Column("stored_at", UtcDateTime, nullable=False, comment="When a case was given it first"),
)

cases = Table(
    "cases",
    metadata,
    Column("retirement_id", String, primary_key=True, comment="Opaque id, root of every idempotency key"),
    Column("kind", String, nullable=False, server_default="retirement", comment="retirement or transfer"),
    Column("subject_key", String, nullable=False, comment="Keyed hash of tenant and user id"),
    Column("workflow_id", String, comment="Where to reach the run; null once closed, as it names the subject"),
    Column("state", String, nullable=False, comment="open, past_return, going_back or closed"),
    Column("outcome", String, comment="COMPLETE, ABORTED or ERRORED; null while a run is at work"),
    Column("reason", String, comment="Reason code of an abort"),
    Column("code", String, comment="What stood in the way, as codes, where the reason alone doesn't say it"),
    Column("direction", String, comment="forward or back: which way the case is resumed"),
    Column("plan", String, nullable=False, comment="Name of the plan"),
    Column("plan_digest", ForeignKey("plans.digest"), nullable=False, comment="The plan it runs by"),
    Column("run_key", String, nullable=False, comment="First run id of the run at work, kept by a reset"),
    Column("resumed_run_key", String, comment="Run key of the last resume"),
    Column("request_id", String, comment="The caller's id of the request that opened it"),
    Column("requested_by", String, comment="Opaque id of who asked"),
    Column("reason_code", String, comment="Why, as a code"),
    Column("tenant", String, comment="Tenant of the subject"),
    Column("locale", String, comment="Language asked for in mails"),
    Column("requested_at", UtcDateTime, nullable=False, comment="When it was asked for; legal clocks run from here"),
    Column("opened_at", UtcDateTime, nullable=False, comment="When the case was opened"),
    Column("cool_off_ends_at", UtcDateTime, nullable=False, comment="Until when the person may change their mind"),
    Column("due_at", UtcDateTime, nullable=False, comment="Legal deadline"),
    Column("since", UtcDateTime, nullable=False, comment="When state or outcome changed last"),
    Column("closed_at", UtcDateTime, comment="When the case was closed"),
    Column("hosts", JSON, nullable=False, comment="Resolved base address of each service"),
    Column("present", JSON, comment="Steps whose probe saw the person at the check; null before it"),
    Column(
        "claims",
        JSON,
        comment="Claims it needs at the point of no return, and the version of each when the facts were asked",
    ),
    Column("shredded_at", UtcDateTime, comment="When the vault entry went"),
    # Two starts at once: the database, not our timing, decides which of them opens the case.
    Index(
        "uq_cases_open_subject",
        "subject_key",
        "kind",
        unique=True,
        sqlite_where=text("state <> 'closed'"),
        postgresql_where=text("state <> 'closed'"),
    ),
    Index(None, "subject_key"),
    Index(None, "opened_at"),
)

claims = Table(
    "claims",
    metadata,
    Column("claim_key", String, primary_key=True, comment="Keyed hash of tenant and what is claimed"),
    Column(
        "retirement_id",
        ForeignKey("cases.retirement_id"),
        index=True,
        comment="The case that holds it, if any",
    ),
    Column("version", Integer, nullable=False, comment="How often it was taken or given back so far"),
)

requests = Table(
    "requests",
    metadata,
    Column("subject_key", String, primary_key=True, comment="Keyed hash of tenant and user id"),
    Column("request_id", String, primary_key=True, comment="A caller's id that has opened or resumed a case"),
    Column("retirement_id", ForeignKey("cases.retirement_id"), nullable=False, comment="That case"),
)

resumes = Table(
    "resumes",
    metadata,
    Column("id", Integer, primary_key=True, comment="Order of arrival; rows are only added"),
    Column("retirement_id", ForeignKey("cases.retirement_id"), nullable=False, index=True, comment="The case"),
    Column("at", UtcDateTime, nullable=False, comment="When it was resumed"),
    Column("run_key", String, nullable=False, comment="First run id of the run that resumed it"),
    Column("direction", String, nullable=False, comment="forward or back"),
    Column("plan_digest", ForeignKey("plans.digest"), nullable=False, comment="The plan it ran by from then on"),
    Column("requested_by", String, comment="Opaque id of who asked"),
    Column("reason_code", String, comment="Why, as a code"),
)

steps = Table(
    "steps",
    metadata,
    Column("retirement_id", ForeignKey("cases.retirement_id"), primary_key=True, comment="The case"),
    Column("step", String, primary_key=True, comment="Step id of the plan, or what tells a mail apart"),
    Column("action", String, primary_key=True, comment="do, undo or mail"),
    Column("service", String, comment="Service of the plan that was asked"),
    Column("result", String, comment="How it ended; null before that"),
    Column("code", String, comment="Why it ended so, as a code"),
    Column("detail", String, comment="Method, path template and status"),
    Column("until", UtcDateTime, comment="End of a retention"),
    Column("decided_by", String, comment="Opaque id of who skipped it"),
    Column("ended_at", UtcDateTime, comment="When it ended"),
    Column("first_failed_at", UtcDateTime, comment="First failed attempt; patience counts from here"),
    Column("failures", Integer, nullable=False, comment="Failed attempts since the last success or resume"),
    Column("last_code", String, comment="Code of the last failed attempt"),
    Column("touched", Boolean, nullable=False, comment="It may have taken effect without an outcome"),
    Column("lies", Integer, nullable=False, comment="How often the service said done wrongly"),
    Column(
        "timeouts",
        Integer,
        nullable=False,
        server_default="0",
        comment="Tries that timed out since the last success or resume",
    ),
)

outcomes = Table(
    "outcomes",
    metadata,
    Column("id", Integer, primary_key=True, comment="Order of arrival; rows are only added"),
    Column("retirement_id", ForeignKey("cases.retirement_id"), nullable=False, index=True, comment="The case"),
    Column("step", String, nullable=False, comment="Step id of the plan"),
    Column("action", String, nullable=False, comment="do or undo"),
    Column("result", String, nullable=False, comment="How it ended"),
    Column("code", String, comment="Why it ended so, as a code"),
    Column("detail", String, comment="Method, path template and status"),
    Column("until", UtcDateTime, comment="End of a retention"),
    Column("decided_by", String, comment="Opaque id of who skipped it"),
    Column("ended_at", UtcDateTime, comment="When it ended"),
)

messages = Table(
    "messages",
    metadata,
    Column("id", Integer, primary_key=True, comment="Order of arrival; rows are only added"),
    Column("retirement_id", ForeignKey("cases.retirement_id"), nullable=False, index=True, comment="The case"),
    Column("kind", String, nullable=False, comment="rescind, extend, expedite, decide or cancel"),
    Column("accepted", Boolean, nullable=False, comment="Was it accepted?"),
    Column("code", String, nullable=False, comment="The answer, as a code"),
    Column("sent_by", String, comment="Opaque id of the sender"),
    Column("reason_code", String, comment="Why, as a code"),
    Column("at", UtcDateTime, nullable=False, comment="When it arrived"),
)

mails = Table(
    "mails",
    metadata,
    Column("id", Integer, primary_key=True, comment="Order of arrival; rows are only added"),
    Column("retirement_id", ForeignKey("cases.retirement_id"), nullable=False, index=True, comment="The case"),
    Column("mail", String, nullable=False, comment="Which mail"),
    Column("number", String, nullable=False, comment="Tells mails of a kind apart"),
    Column("result", String, nullable=False, comment="sent, given_up, no_address or later"),
    Column("code", String, comment="Why, as a code"),
    Column("at", UtcDateTime, nullable=False, comment="When"),
)

vault = Table(
    "vault",
    metadata,
    Column("retirement_id", ForeignKey("cases.retirement_id"), primary_key=True, comment="The case"),
    Column("key_id", String, nullable=False, comment="Key of the ring that wraps the data key"),
    Column("wrapped_key", LargeBinary, nullable=False, comment="The case's data key, wrapped"),
)

vault_fields = Table(
    "vault_fields",
    metadata,
    Column("retirement_id", ForeignKey("vault.retirement_id"), primary_key=True, comment="The case"),
    Column("field", String, primary_key=True, comment="subject, saved. and a step id, successors, people"),
    Column("sealed", LargeBinary, nullable=False, comment="Values, encrypted under the data key"),
)

assets = Table(
    "assets",
    metadata,
    Column("retirement_id", ForeignKey("vault.retirement_id"), primary_key=True, comment="The case"),
    Column("step", String, primary_key=True, comment="Step id of the plan"),
    Column("asset_key", String, primary_key=True, comment="Keyed hash of the asset's id"),
    Column("position", Integer, nullable=False, comment="Order in which assets were found"),
    Column("inventory", Integer, nullable=False, comment="Number of the last inventory that listed it; 0 for none"),
    Column("sealed", LargeBinary, nullable=False, comment="Id, type, title and fields, encrypted under the data key"),
    Column("result", String, comment="What became of it; null before that"),
    Column("code", String, comment="Why, as a code"),
    Column("lies", Integer, nullable=False, comment="How often it had to be asked for anew"),
    Index(None, "retirement_id", "step", "position"),
)

successions = Table(
    "successions",
    metadata,
    Column("retirement_id", ForeignKey("cases.retirement_id"), primary_key=True, comment="The case"),
    Column("policy", String, primary_key=True, comment="One of the plan's successors"),
    Column("subject_key", String, nullable=False, index=True, comment="Keyed hash of the one who takes over"),
    Column("chosen_at", UtcDateTime, nullable=False, comment="When they were found suitable"),
)

intakes = Table(
    "intakes",
    metadata,
    Column("subject_key", String, primary_key=True, comment="Keyed hash of tenant and user id"),
    Column("key_id", String, nullable=False, comment="Key of the ring that wraps the data key"),
    Column("wrapped_key", LargeBinary, nullable=False, comment="The intake's data key, wrapped"),
    Column("sealed", LargeBinary, nullable=False, comment="Values, encrypted under the data key"),
    Column("taken_in_at", UtcDateTime, nullable=False, comment="When"),
)

jobs = Table(
    "jobs",
    metadata,
    Column("id", String, primary_key=True, comment="Opaque id"),
    Column("number", Integer, nullable=False, comment="Order in which jobs were opened"),
    Column("site", String, nullable=False, comment="Whose work it is"),
    Column("kind", String, nullable=False, comment="archive, partner_report, certificates or usernames"),
    Column("key", String, nullable=False, comment="What it is about: a batch's number, a certificate's id"),
    Column("created_at", UtcDateTime, nullable=False, comment="When it was opened"),
    Column("ended_at", UtcDateTime, comment="When it was finished; null while it is open"),
    Column("key_id", String, comment="Key of the ring that wraps the data key; null once finished"),
    Column("wrapped_key", LargeBinary, comment="The job's data key, wrapped; null once finished"),
    Column("sealed", LargeBinary, comment="What it knows, encrypted under the data key; null once finished"),
    # Two that begin the same work at once: one of them has it.
    Index(
        "uq_jobs_open_key",
        "site",
        "kind",
        "key",
        unique=True,
        sqlite_where=text("ended_at IS NULL"),
        postgresql_where=text("ended_at IS NULL"),
    ),
    Index(None, "site", "kind", "created_at"),
)

work = Table(
    "work",
    metadata,
    Column("retirement_id", ForeignKey("cases.retirement_id"), primary_key=True, comment="The case"),
    Column("step", String, primary_key=True, comment="Step id of the plan"),
    Column("kind", String, nullable=False, comment="vendor or manual: who is at work"),
    Column("state", String, nullable=False, comment="open, done or failed"),
    Column("opened_at", UtcDateTime, nullable=False, comment="When the vendor accepted it, or it was left to a person"),
    Column("next_look_at", UtcDateTime, comment="When the vendor is asked next; null for a person, and once ended"),
    Column("ended_at", UtcDateTime, comment="When it ended"),
    Column("ended_by", String, comment="Opaque id of who said so; null where the vendor did"),
    Column("code", String, comment="How the last look ended, or why it failed, as a code"),
    # What somebody has to see to is looked for among everybody's.
    Index(
        "ix_work_left",
        "opened_at",
        sqlite_where=text("state <> 'done' AND ended_by IS NULL"),
        postgresql_where=text("state <> 'done' AND ended_by IS NULL"),
    ),
)

vault_holders = Table(
    "vault_holders",
    metadata,
    Column("retirement_id", ForeignKey("vault.retirement_id"), primary_key=True, comment="The case"),
    Column("holder", String, primary_key=True, comment="Who still needs the entry: run, mail, admins, recipients"),
    Column("until", UtcDateTime, comment="When the hold ends by itself; null while the case is open"),
    Index(None, "until"),
)
