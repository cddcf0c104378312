"""plans/postgres_app.yaml on a real PostgreSQL: what is gone, what is kept, what comes back, as the tables themselves say it."""

import contextlib
import os
import re
import signal
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from sqlalchemy import URL, Connection, Engine, create_engine, make_url, text
from sqlalchemy.exc import OperationalError

from ledger.rows import StepAction
from tests.support.leaks import Canary, all_of, traces_of
from tests.support.postgresql import PostgreSQL
from tests.support.stage import Retirement, Stage
from tests.support.waiting import eventually
from workflows import names
from workflows.names import HeldCause, Outcome, Phase, Reason, StepResult

PRESET = Path(__file__).parents[2] / "plans" / "postgres_app.yaml"
HOSTILE = "Robert'); DROP TABLE accounts;--"
ADA = Canary(mark="pgkanari", number="0199")

SCHEMA = """
CREATE TABLE accounts (id uuid PRIMARY KEY, email text UNIQUE, name text, locale text, disabled boolean NOT NULL DEFAULT false);
CREATE TABLE sessions (token text PRIMARY KEY, account_id uuid NOT NULL REFERENCES accounts);
CREATE TABLE addresses (id serial PRIMARY KEY, account_id uuid NOT NULL REFERENCES accounts, street text NOT NULL);
CREATE TABLE orders (
    id serial PRIMARY KEY, account_id uuid REFERENCES accounts, status text NOT NULL, total numeric NOT NULL,
    customer_name text, customer_email text, shipping_address text
);
"""


@dataclass(frozen=True, kw_only=True)
class App:
    """The application's database, as its owner sees it."""

    owner: Engine
    role: str
    password: str = field(repr=False)

    @property
    def url(self) -> URL:
        """The address that the plan is given."""
        return self.owner.url.set(username=self.role, password=self.password)

    def add(
        self, *, name: str = HOSTILE, email: str | None = None, disabled: bool = False, status: str = "paid"
    ) -> str:
        """Somebody with a session, an address and two orders."""
        id = str(uuid.uuid4())
        email = email or f"{id}@people.example"
        values = {
            "id": id,
            "name": name,
            "email": email,
            "disabled": disabled,
            "token": uuid.uuid4().hex,
            "status": status,
        }
        with self.owner.begin() as connection:
            for sql in (
                "INSERT INTO accounts VALUES (:id, :email, :name, 'en', :disabled)",
                "INSERT INTO sessions VALUES (:token, :id)",
                "INSERT INTO addresses (account_id, street) VALUES (:id, :name || ' Street 1')",
                "INSERT INTO orders (account_id, status, total, customer_name, customer_email, shipping_address)"
                " SELECT :id, :status, 9.50, :name, :email, :name || ' Street 1' FROM generate_series(1, 2)",
            ):
                connection.execute(text(sql), values)
        return id

    def rows(self, sql: str, **values: Any) -> list[tuple[Any, ...]]:
        """What the owner reads."""
        with self.owner.connect() as connection:
            return [tuple(row) for row in connection.execute(text(sql), values)]

    def tell(self, sql: str) -> None:
        """What the owner changes."""
        with self.owner.begin() as connection:
            connection.execute(text(sql))

    def all_of(self, id: str) -> dict[str, list[tuple[Any, ...]]]:
        """Everything that belongs to somebody."""
        of = {"accounts": "id", "sessions": "account_id", "addresses": "account_id", "orders": "account_id"}
        return {
            table: self.rows(f"SELECT * FROM {table} WHERE {key} = :id ORDER BY 1", id=id) for table, key in of.items()
        }

    def texts(self) -> str:
        """Every value of every table."""
        return repr([self.rows(f"SELECT * FROM {table}") for table in ("accounts", "sessions", "addresses", "orders")])

    def is_disabled(self, id: str) -> bool:
        """May they log in no more?"""
        [(disabled,)] = self.rows("SELECT disabled FROM accounts WHERE id = :id", id=id)
        return bool(disabled)

    def hang_up(self) -> None:
        """Every connection of the plan's role is cut."""
        self.rows("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = :role", role=self.role)

    @contextlib.contextmanager
    def holding(self, sql: str) -> Iterator[Connection]:
        """Somebody else has rows locked in a transaction of their own."""
        with self.owner.connect() as connection:
            connection.execute(text(sql))
            yield connection
            connection.rollback()

    async def waits_for_a_lock(self, start: str) -> int:
        """Wait until a statement of the plan's role that begins so waits for others; the process that does it."""

        def look() -> int:
            found = self.rows(
                "SELECT pid FROM pg_stat_activity"
                " WHERE usename = :role AND wait_event_type = 'Lock' AND query LIKE :start",
                role=self.role,
                start=f"{start}%",
            )
            assert len(found) == 1
            return int(found[0][0])

        return await eventually(look)


@pytest.fixture
def app(postgresql: PostgreSQL, monkeypatch: pytest.MonkeyPatch) -> Iterator[App]:
    """A database with the preset's tables, and a role that may do what the preset's head says and nothing else."""
    role = f"retirement_{uuid.uuid4().hex}"
    with postgresql.an_empty_database() as url:
        owner = create_engine(url)
        app = App(owner=owner, role=role, password="of-the-application")
        app.tell(SCHEMA)
        for statement in granting(role=role, password=app.password):
            app.tell(statement)
        monkeypatch.setenv("APP_DATABASE_URL", app.url.render_as_string(hide_password=False))
        yield app
        app.tell(f"DROP OWNED BY {role}")
        app.tell(f"DROP ROLE {role}")
        owner.dispose()


def granting(*, role: str, password: str) -> list[str]:
    """The statements that the preset's head tells whoever sets it up to run."""
    told = re.findall(r"^#   (CREATE ROLE .*;|GRANT .*;)$", PRESET.read_text(), flags=re.MULTILINE)
    assert len(told) == 4
    return [each.replace("retirement", role).replace("…", password) for each in told]


def planned(stage: Stage, name: str, change: Callable[[dict[str, Any]], None]) -> str:
    """The preset under another name, changed."""
    plan = yaml.safe_load(PRESET.read_text())
    plan["plan"] = name
    change(plan)
    (stage.settings.plans_dir / f"{name}.yaml").write_text(yaml.safe_dump(plan, sort_keys=False))
    return name


@pytest.fixture
def retirements(stage: Stage) -> Stage:
    """A stage whose worker knows the preset, as it is."""
    (stage.settings.plans_dir / PRESET.name).write_bytes(PRESET.read_bytes())
    return stage


async def in_cool_off(stage: Stage, user_id: str, *, plan: str = PRESET.stem) -> Retirement:
    """A retirement that has frozen all there is to freeze."""
    run = await stage.start(user_id, plan=plan, running_clock=True)
    await run.reaches(Phase.COOL_OFF)
    return run


async def test_a_person_is_gone_their_orders_are_nobody_s_and_a_bystander_is_untouched(
    retirements: Stage, app: App
) -> None:
    bob = app.add(name="Bob'); DELETE FROM orders;--")
    before = app.all_of(bob)
    ada = app.add(name=HOSTILE, email=ADA.email)
    run = await in_cool_off(retirements, ada)
    assert app.is_disabled(ada) and app.all_of(ada)["sessions"] == []
    assert len(app.all_of(ada)["orders"]) == 2, "nothing else is touched in the cool-off"

    await run.skip()
    result = await run.result()
    assert result.outcome is Outcome.COMPLETE
    assert {step.step: step.result for step in result.steps} == {
        "disable": StepResult.DONE,
        "sessions": StepResult.DONE,
        "orders": StepResult.ERASED,
        "books": StepResult.RETAINED,
        "addresses": StepResult.ERASED,
        "profile": StepResult.ERASED,
    }
    assert app.all_of(ada) == {"accounts": [], "sessions": [], "addresses": [], "orders": []}
    kept = app.rows(
        "SELECT total, customer_name, customer_email, shipping_address FROM orders WHERE account_id IS NULL"
    )
    assert [(str(total), *who) for total, *who in kept] == [("9.50", "former customer", None, None)] * 2
    assert app.all_of(bob) == before
    assert HOSTILE not in app.texts() and ADA.domain not in app.texts()
    *_, told = retirements.sandbox.mailbox.mails(ADA.email)
    assert "orders, without your name" in told["text"]


async def test_whoever_rescinds_may_log_in_again(retirements: Stage, app: App) -> None:
    ada = app.add()
    before = app.all_of(ada)
    run = await in_cool_off(retirements, ada)
    await rescind(run)
    assert app.all_of(ada) == {**before, "sessions": []}


async def test_whoever_was_disabled_before_stays_disabled(retirements: Stage, app: App) -> None:
    ada = app.add(disabled=True)
    before = app.all_of(ada)
    await rescind(await in_cool_off(retirements, ada))
    assert app.all_of(ada) == {**before, "sessions": []} and app.is_disabled(ada)


async def rescind(run: Retirement) -> None:
    """Rescind, and see the end."""
    assert (await run.ask(names.RESCIND, by="support-7")).accepted
    result = await run.result()
    assert (result.outcome, result.reason) == (Outcome.ABORTED, Reason.RESCINDED)


@pytest.mark.parametrize(
    ("user_id", "reason", "code"),
    [
        (str(uuid.uuid4()), Reason.NO_SUCH_SUBJECT, None),
        # No id of this database: refused by it, as a value and never as a part of the statement.
        ("x' OR true --", Reason.LOOKUP_FAILED, "sql_22P02"),
    ],
    ids=["unknown", "no id"],
)
async def test_nobody_of_that_id_is_told(
    retirements: Stage, app: App, user_id: str, reason: Reason, code: str | None
) -> None:
    ada = app.add()
    before = app.all_of(ada)
    result = await (await retirements.start(user_id, plan=PRESET.stem)).result()
    assert (result.outcome, result.reason, result.code) == (Outcome.ABORTED, reason, code)
    assert app.all_of(ada) == before


async def test_somebody_with_an_open_order_stays(retirements: Stage, app: App) -> None:
    ada = app.add(status="open")
    before = app.all_of(ada)
    result = await (await retirements.start(ada, plan=PRESET.stem)).result()
    assert (result.outcome, result.reason) == (Outcome.ABORTED, Reason.NOT_ELIGIBLE)
    assert app.all_of(ada) == before


async def test_nothing_of_a_person_reaches_the_history(retirements: Stage, app: App) -> None:
    user_id = app.add(name=ADA.name, email=ADA.email)
    # Errors on the way, too: their texts quote the values. The first one of PostgreSQL, the second of the transport.
    app.tell(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE EXCEPTION '% can''t go', OLD.street USING ERRCODE = '40001'; END $$;"
        " CREATE TRIGGER refuse BEFORE DELETE ON addresses FOR EACH ROW EXECUTE FUNCTION refuse()"
    )
    run = await in_cool_off(retirements, user_id)
    await run.ask(names.EXPEDITE)

    async def has_failed() -> None:
        rows = await retirements.ledger.steps((await retirements.case_of(user_id)).retirement_id)
        assert [row.failures for row in rows if row.step == "addresses" and row.last_code == "sql_40001"] > [0]

    await eventually(has_failed)
    app.tell("DROP TRIGGER refuse ON addresses")
    await run.skip()
    assert (await run.result()).outcome is Outcome.COMPLETE
    history = all_of(await run.handle.fetch_history())
    assert b"sql_40001" in history, "the failed attempt is in what is searched"
    assert traces_of([user_id], history), "what the caller sent is found"
    assert traces_of(ADA.fragments, history) == set()
    assert traces_of([app.password, app.role], history) == set()


async def test_a_backend_that_is_cut_off_in_the_middle_is_asked_again(retirements: Stage, app: App) -> None:
    ada = app.add()
    run = await in_cool_off(retirements, ada)
    with app.holding("SELECT 1 FROM orders FOR UPDATE"):
        await run.ask(names.EXPEDITE)
        await app.waits_for_a_lock("UPDATE orders")
        app.hang_up()
        await failed_once(retirements, ada, "orders", "sql_57P01")
    await run.skip()
    assert (await run.result()).outcome is Outcome.COMPLETE
    assert app.all_of(ada) == {"accounts": [], "sessions": [], "addresses": [], "orders": []}


async def test_a_database_that_crashes_in_the_middle_is_asked_again(retirements: Stage, app: App) -> None:
    # The tests' server may forget the last transactions in a crash; an application's may not.
    app.tell(f"ALTER DATABASE {app.owner.url.database} SET synchronous_commit = on")
    app.owner.dispose()
    ada, bob = app.add(), app.add(name="Bob")
    before = app.all_of(bob)
    run = await in_cool_off(retirements, ada)
    with contextlib.suppress(OperationalError), app.holding("SELECT 1 FROM orders FOR UPDATE"):
        await run.ask(names.EXPEDITE)
        # As if it ran out of memory: PostgreSQL then ends every connection, and recovers from its log.
        os.kill(await app.waits_for_a_lock("UPDATE orders"), signal.SIGKILL)
    app.owner.dispose()
    await failed_once(retirements, ada, "orders")
    await run.skip()
    assert (await run.result()).outcome is Outcome.COMPLETE
    assert app.all_of(ada) == {"accounts": [], "sessions": [], "addresses": [], "orders": []}
    assert app.all_of(bob) == before


async def failed_once(stage: Stage, user_id: str, step: str, code: str | None = None) -> None:
    """Wait until a failed attempt of a step is recorded."""

    async def look() -> None:
        rows = await stage.ledger.steps((await stage.case_of(user_id)).retirement_id)
        codes = [row.last_code for row in rows if row.step == step and row.action is StepAction.DO and row.failures]
        assert codes and (code is None or codes == [code]), rows

    await eventually(look)


async def test_a_changed_password_is_held_and_heals(
    retirements: Stage, app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada = app.add()
    run = await in_cool_off(retirements, ada)
    with app.holding("SELECT 1 FROM orders FOR UPDATE"):
        await run.ask(names.EXPEDITE)
        await app.waits_for_a_lock("UPDATE orders")
        app.tell(f"ALTER ROLE {app.role} PASSWORD 'rotated'")
        app.hang_up()
    hold = await run.holds("orders")
    assert (hold.cause, hold.code) == (HeldCause.CREDENTIALS, "sql_28P01")
    assert len(app.all_of(ada)["orders"]) == 2

    rotated = app.url.set(password="rotated").render_as_string(hide_password=False)
    monkeypatch.setenv("APP_DATABASE_URL", rotated)
    await run.skip(timedelta(minutes=5))
    await run.skip()
    assert (await run.result()).outcome is Outcome.COMPLETE
    assert app.all_of(ada)["accounts"] == []


async def test_another_database_is_not_erased_in(
    retirements: Stage, app: App, postgresql: PostgreSQL, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada = app.add()
    run = await in_cool_off(retirements, ada)
    elsewhere = make_url(postgresql.url("postgres")).render_as_string(hide_password=False)
    monkeypatch.setenv("APP_DATABASE_URL", elsewhere)
    await run.ask(names.EXPEDITE)
    hold = await run.holds("recheck")
    assert (hold.cause, hold.code) == (HeldCause.CONFIGURATION, "other_host")
    monkeypatch.setenv("APP_DATABASE_URL", app.url.render_as_string(hide_password=False))
    await run.skip()
    assert (await run.result()).outcome is Outcome.COMPLETE


def misspell(*path: str | int) -> Callable[[dict[str, Any]], None]:
    """A wrong table in one statement of the plan."""

    def change(plan: dict[str, Any]) -> None:
        *way, last = path
        place: Any = plan
        for part in way:
            place = place[part]
        place[last] = re.sub(r"\b(accounts|orders|addresses)\b", r"\1_of_yore", place[last])

    return change


@pytest.mark.parametrize(
    ("path", "reason", "code"),
    [
        (("subject", "lookup", "request", "sql"), Reason.LOOKUP_FAILED, "sql_42P01"),
        (("facts", "open_orders", "request", "sql"), Reason.LOOKUP_FAILED, "facts.open_orders:sql_42P01"),
        (("steps", "profile", "probe", "request", "sql"), Reason.LOOKUP_FAILED, "profile:sql_42P01"),
        (("steps", "disable", "request", "sql"), Reason.FREEZE_FAILED, "sql_42P01"),
    ],
)
async def test_a_wrong_table_stops_it_before_anything_is_done(
    retirements: Stage, app: App, path: tuple[str, ...], reason: Reason, code: str
) -> None:
    ada = app.add()
    before = app.all_of(ada)
    plan = planned(retirements, "wrong-table", misspell(*path))
    result = await (await retirements.start(ada, plan=plan)).result()
    assert (result.outcome, result.reason, result.code) == (Outcome.ABORTED, reason, code)
    assert app.all_of(ada) == before


async def test_a_table_that_refers_to_the_account_and_was_forgotten_stops_it_with_its_code(
    retirements: Stage, app: App
) -> None:
    ada = app.add()
    app.tell("CREATE TABLE reviews (id serial PRIMARY KEY, account_id uuid NOT NULL REFERENCES accounts)")
    app.tell(f"INSERT INTO reviews (account_id) VALUES ('{ada}')")
    run = await retirements.start(ada, plan=PRESET.stem)
    result = await run.errored()
    assert [(step.step, step.code) for step in result.steps if step.result is StepResult.FAILED] == [
        ("profile", "sql_23503")
    ]
    # Nothing of the failed transaction stays; what was erased before it, does.
    assert len(app.all_of(ada)["accounts"]) == 1 and app.all_of(ada)["orders"] == []
