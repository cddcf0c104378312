"""Nothing personal is ever in the database's files: not beside the vault, not after it."""

import base64
import logging
from pathlib import Path
from urllib.parse import quote

import pytest
from sqlalchemy import text

from ledger import Ledger
from ledger.database import engine_for, writing
from tests.support.ledgers import KEYS, NOW, a_case
from workflows.messages import StepOutcome
from workflows.names import Outcome, StepResult

CANARY = "Zoë Canárý-7f3a <zoe.canary-7f3a@example.org>"
FORMS = [
    form.encode()
    for form in (
        CANARY,
        CANARY.lower(),
        quote(CANARY),
        CANARY.encode("unicode_escape").decode(),
        "canary-7f3a",
        *(base64.b64encode(b"_" * shift + CANARY.encode()).decode()[4:-4] for shift in range(3)),
    )
]


def found_in(folder: Path) -> set[str]:
    """The files that hold the canary in any form."""
    files = [path for path in folder.iterdir() if path.is_file()]
    assert any(path.name == "ledger.db" and path.stat().st_size for path in files)
    return {path.name for path in files if any(form in path.read_bytes() for form in FORMS)}


@pytest.mark.parametrize("form", FORMS)
def test_the_search_finds_a_planted_canary(tmp_path: Path, form: bytes) -> None:
    (tmp_path / "ledger.db").write_bytes(b"\0" * 5000 + b"__" + form + b"\0")
    assert found_in(tmp_path) == {"ledger.db"}


async def test_the_canary_is_in_no_file_before_or_after_the_shred(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    ledger = Ledger(url=url, keys=KEYS)
    await ledger.set_up()
    rid = (await a_case(ledger, holders=("mail",))).retirement_id
    await ledger.store_subject(retirement_id=rid, values={"name": CANARY, "more": [CANARY] * 200}, present=())
    outcome = StepOutcome(step="lock", result=StepResult.DONE, at=NOW)
    await ledger.record_outcome(
        retirement_id=rid, step="lock", action="do", outcome=outcome, service="accounts", saved={"name": CANARY}
    )
    start = await ledger.begin_step(retirement_id=rid, step="lock", action="do")
    assert start.values is not None and start.values["saved"]["lock"] == {"name": CANARY}
    assert (tmp_path / "ledger.db-wal").stat().st_size, "what was written last is in the write-ahead log"
    assert found_in(tmp_path) == set()

    await ledger.close_case(
        retirement_id=rid, outcome=Outcome.ABORTED, reason=None, direction=None, now=NOW, messages=()
    )
    await ledger.record_mail(
        retirement_id=rid, mail="aborted", number="", result="sent", code=None, at=NOW, release="mail"
    )
    assert found_in(tmp_path) == set()
    await ledger.checkpoint()
    assert found_in(tmp_path) == set()
    assert (tmp_path / "ledger.db-wal").stat().st_size == 0
    ledger.close()
    assert "canary" not in caplog.text.lower()


async def test_what_is_shredded_leaves_the_file_with_the_next_checkpoint(tmp_path: Path) -> None:
    """The wrapped data key goes too: with the ring alone, nothing in an old page could be opened again."""
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    ledger = Ledger(url=url, keys=KEYS)
    await ledger.set_up()
    rid = (await a_case(ledger)).retirement_id
    await ledger.store_subject(retirement_id=rid, values={"name": CANARY * 500}, present=())
    engine = engine_for(url)
    with engine.begin() as connection:
        kept = [
            *connection.execute(text("SELECT wrapped_key FROM vault")).scalars(),
            *connection.execute(text("SELECT sealed FROM vault_fields")).scalars(),
        ]
    engine.dispose()
    await ledger.checkpoint()
    file = tmp_path / "ledger.db"
    assert len(kept) == 2 and all(part[:40] in file.read_bytes() for part in kept), "the search works"
    assert b"retire-user-u-1" in file.read_bytes()

    await ledger.close_case(
        retirement_id=rid, outcome=Outcome.ABORTED, reason=None, direction=None, now=NOW, messages=()
    )
    await ledger.checkpoint()
    left = file.read_bytes() + (tmp_path / "ledger.db-wal").read_bytes()
    assert not any(part[n : n + 40] in left for part in kept for n in range(0, len(part) - 40, 40))
    assert b"retire-user-u-1" not in left, "nor is the subject's id, which the workflow id held"
    ledger.close()


async def test_a_clear_value_in_the_file_is_seen_by_the_search(tmp_path: Path) -> None:
    """The control: a value written past the vault is found, in the write-ahead log and then in the file."""
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    ledger = Ledger(url=url, keys=KEYS)
    await ledger.set_up()
    await ledger.checkpoint()
    engine = engine_for(url)
    with writing(engine).begin() as connection:
        connection.execute(text("INSERT INTO meta (name, value) VALUES ('planted', :value)"), {"value": CANARY})
    assert found_in(tmp_path) == {"ledger.db-wal"}
    engine.dispose()
    await ledger.checkpoint()
    assert found_in(tmp_path) == {"ledger.db"}
    ledger.close()


async def test_a_reader_elsewhere_delays_the_checkpoint_and_nothing_else(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    ledger = Ledger(url=url, keys=KEYS)
    await ledger.set_up()
    reader = engine_for(url)
    with reader.begin() as connection:
        connection.execute(text("SELECT count(*) FROM cases")).scalar_one()
        await a_case(ledger)
        await ledger.checkpoint()
        assert (tmp_path / "ledger.db-wal").stat().st_size
        await a_case(ledger, user_id="u-2", run_key="run-2")
    await ledger.checkpoint()
    assert not (tmp_path / "ledger.db-wal").stat().st_size
    reader.dispose()
    ledger.close()


def test_a_new_ledger_file_is_its_owners_only(tmp_path: Path) -> None:
    ledger = Ledger(url=f"sqlite:///{tmp_path / 'ledger.db'}", keys=KEYS)
    ledger.close()
    assert (tmp_path / "ledger.db").stat().st_mode & 0o777 == 0o600
