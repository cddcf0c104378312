"""Where a service is: recorded when a worker of its queue first comes to it, and the same from then on."""

from pathlib import Path

import pytest

from activities.addresses import is_same_place
from ledger import Ledger
from plans.secrets import SecretMissing
from plans.services import HttpService, SqlService
from tests.support.ledgers import Kind, a_case, a_ledger


async def test_a_place_is_added_once_and_stays(kind: Kind, tmp_path: Path) -> None:
    async with a_ledger(kind, folder=tmp_path) as ledger:
        case = await a_case(ledger, hosts={"accounts": "https://accounts.example"})
        first = await added(ledger, case.retirement_id, wiki="https://wiki.example")
        assert first == {"accounts": "https://accounts.example", "wiki": "https://wiki.example"}
        later = {"accounts": "https://staging.example", "wiki": "https://staging.example", "crm": "https://crm.example"}
        assert await added(ledger, case.retirement_id, **later) == first | {"crm": "https://crm.example"}


async def added(ledger: Ledger, rid: str, **hosts: str) -> dict[str, str]:
    case = await ledger.add_hosts(retirement_id=rid, hosts=hosts)
    assert case == await ledger.case(rid)
    return dict(case.hosts)


@pytest.mark.parametrize(
    ("known", "same"),
    [
        ("https://wiki.example", True),
        ("https://wiki.example:443/other/path", True),
        ("https://WIKI.example/", True),
        ("http://wiki.example", False),
        ("https://wiki.example:8443", False),
        ("https://staging.example", False),
        ("nonsense", False),
        (None, False),
    ],
)
def test_the_same_place_is_the_same_origin_and_one_that_nobody_recorded_is_no_place(
    known: str | None, same: bool
) -> None:
    assert is_same_place(HttpService(base_url="https://wiki.example/api"), known=known) is same


def test_the_same_database_is_the_same_whoever_logs_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRM_DB", "postgresql+psycopg://retirement:secret-word@DB.example/crm?sslmode=require")
    service = SqlService(type="sql", database_url="${env:CRM_DB}")
    assert is_same_place(service, known="postgresql://db.example:5432/crm")
    assert not is_same_place(service, known="postgresql://db.example:5432/crm_staging")
    assert not is_same_place(service, known=None)


@pytest.mark.parametrize("known", [None, "https://wiki.example"])
def test_a_worker_that_lacks_the_address_says_so_first(monkeypatch: pytest.MonkeyPatch, known: str | None) -> None:
    monkeypatch.delenv("WIKI_URL", raising=False)
    with pytest.raises(SecretMissing):
        is_same_place(HttpService(base_url="${env:WIKI_URL}"), known=known)
