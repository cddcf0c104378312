"""Where the cookbook is cooked: the company's services and databases, a stage, and a retirement of each case."""

import asyncio
import contextlib
import sqlite3
import sys
import tomllib
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from sandbox.launch import Sandbox
from tests.docs.support.cases import CASES, LEAD, Case
from tests.docs.support.company import Company
from tests.docs.support.recipes import PREFIX, recipes, variables, written_plan
from tests.support.http_service import HttpService, http_service
from tests.support.stage import Retirement, Stage, staged, time_skipping_server

SHOP = """
    create table customers (id varchar(40) primary key, email varchar(80));
    create table orders (number integer primary key, customer_id varchar(40) references customers, ship_to varchar(80));
    create table reviews (number integer primary key, customer_id varchar(40) not null references customers);
    insert into customers values ('{ada}', 'ada@person.example'), ('bob', 'bob@person.example');
    insert into orders values (1, '{ada}', 'Ada, 1 Long Road'), (2, 'bob', 'Bob, 2 Short Street');
    insert into reviews values (1, '{ada}'), (2, 'bob');
"""
_PEOPLE = """
    create table people (opaque_id varchar(40) primary key, email varchar(80), name varchar(80));
    insert into people values ('{ada}', '{email}', 'Ada'), ('bob', 'bob@person.example', 'Bob');
"""
_PROJECTS = """
    create table projects (id varchar(40) primary key, name varchar(80), owner varchar(40) not null);
    insert into projects values ('p-1', 'Engine', '{ada}'), ('p-2', 'Loom', '{ada}'), ('p-3', 'Short Street', 'bob');
"""


@dataclass(frozen=True, kw_only=True)
class Kitchen:
    """The company, a stage with a plan for each recipe, and the retirements of all cases."""

    company: Company
    service: HttpService
    stage: Stage
    retirements: dict[str, Retirement]
    folder: Path

    async def retire(self, recipe: str, user_id: str, *, running_clock: bool = False, **fields: Any) -> Retirement:
        """Start somebody's retirement by a recipe's plan."""
        return await self.stage.start(user_id, plan=recipe, running_clock=running_clock, **fields)

    def add_user(self, user_id: str, **details: Any) -> None:
        """Somebody gets an account."""
        known = {"id": user_id, "email": f"{user_id}@person.example", "name": "Ada", "username": f"name-of-{user_id}"}
        record = {**known, "org": "none", "role": "member", "owned_teams": [], "locked": False, **details}
        self.company.kept[f"accounts/users/{user_id}"] = record

    def is_locked(self, user_id: str) -> bool:
        """Is the account locked?"""
        return bool(self.company.kept[f"accounts/users/{user_id}"]["locked"])

    def rows(self, database: str, query: str) -> list[Any]:
        """What is in one of the company's databases."""
        with contextlib.closing(sqlite3.connect(self.folder / f"{database}.db")) as connection:
            return connection.execute(query).fetchall()


@contextlib.asynccontextmanager
async def a_kitchen(*, sandbox: Sandbox, folder: Path) -> AsyncIterator[Kitchen]:
    """Everything runs at the same time, on a Temporal server of its own."""
    async with http_service() as service, time_skipping_server() as server:
        environment = _environment(service.url, folder)
        company = Company(environment=environment)
        service.otherwise(company.answer)
        with pytest.MonkeyPatch.context() as patch, _installed(folder):
            for name, value in environment.items():
                patch.setenv(PREFIX + name, value)
            async with staged(
                client=server.client,
                server=server,
                sandbox=sandbox,
                folder=folder,
                overrides={"queues": ("main", "intranet")},
            ) as stage:
                for recipe in recipes():
                    written_plan(recipe, folder=stage.settings.plans_dir)
                kitchen = Kitchen(company=company, service=service, stage=stage, retirements={}, folder=folder)
                await _serve(kitchen)
                yield kitchen


async def _serve(kitchen: Kitchen) -> None:
    """Everybody is there before, and all are retired at once."""
    for case in CASES:
        kitchen.add_user(case.user_id, email=case.email, org=case.org)
        kitchen.company.kept |= case.records(case.kept)
    kitchen.add_user(LEAD, org="team", role="admin")
    _fill(kitchen.folder / "projects.db", _PROJECTS.format(ada="u-owners-in-a-database"))
    _fill(kitchen.folder / "store.db", SHOP.format(ada="u-sql-tables"))
    by_address = next(case for case in CASES if case.recipe.startswith("the-applications"))
    _fill(kitchen.folder / "people.db", _PEOPLE.format(ada=by_address.user_id, email=by_address.email))
    (kitchen.folder / "archive").mkdir()
    for name in ("u-python-1.txt", "u-python-2.txt", "bob-1.txt"):
        (kitchen.folder / "archive" / name).touch()
    started = [_retired(kitchen, case) for case in CASES]
    retirements = await asyncio.gather(*started)
    kitchen.retirements.update({case.user_id: retirement for case, retirement in zip(CASES, retirements, strict=True)})


async def _retired(kitchen: Kitchen, case: Case) -> Retirement:
    named: dict[str, Any] = {} if case.successor is None else {"successor": case.successor}
    return await kitchen.retire(case.recipe, case.user_id, cool_off="0", **named)


def _environment(url: str, folder: Path) -> dict[str, str]:
    """Every variable that the page names: a place for an address, something made up for a secret."""
    named = variables()
    assert {"FORUM_URL", "FORUM_TOKEN", "STORE_DATABASE_URL"} <= named
    values = {name: f"{name.lower()}-1" for name in named}
    values |= {name: f"{url}/{name.removesuffix('_URL').lower()}" for name in named if name.endswith("_URL")}
    values |= {
        name: f"sqlite:///{folder / name.removesuffix('_DATABASE_URL').lower()}.db"
        for name in named
        if name.endswith("_DATABASE_URL")
    }
    return values | {"ARCHIVE_FOLDER": str(folder / "archive")}


@contextlib.contextmanager
def _installed(folder: Path) -> Iterator[None]:
    """The page's Python package, as if installed by pip."""
    [entries] = tomllib.loads(recipes()["python"].block("toml"))["project"]["entry-points"].items()
    package = folder / "packages"
    about = package / "acme_retirement-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-retirement\nVersion: 1.0\n")
    group, offered = entries
    (about / "entry_points.txt").write_text("\n".join([f"[{group}]", *(f"{k} = {v}" for k, v in offered.items())]))
    (package / "acme_retirement.py").write_text(recipes()["python"].block("python"))
    sys.path.append(str(package))
    try:
        yield
    finally:
        sys.path.remove(str(package))
        sys.modules.pop("acme_retirement", None)


def _fill(path: Path, script: str) -> None:
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.executescript(f"pragma foreign_keys = on; {script}")
