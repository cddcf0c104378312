"""Several processes at one ledger: no write fails, none is lost."""

import asyncio
import sys
from pathlib import Path

from ledger import Keys, Ledger
from tests.support.ledgers import Kind, a_case, an_empty_database

PROCESSES = 4
WRITES = 150

#: One process: half of its writes go to a row that all share, half open cases of its own.
_WRITER = """
import asyncio, sys
from datetime import UTC, datetime
from pathlib import Path
from ledger import Keys, Ledger
from tests.support.ledgers import a_case

async def main(url, keys, rid, number, writes):
    ledger = Ledger(url=url, keys=Keys.load(Path(keys)))
    print("ready", flush=True)
    sys.stdin.readline()
    for n in range(writes // 2):
        await asyncio.gather(
            ledger.record_attempt(
                retirement_id=rid, step="forum", action="do", at=datetime.now(UTC), code="x", attempt=1,
                touched=False, service=None,
            ),
            a_case(ledger, user_id=f"u-{number}-{n}", run_key=f"run-{number}-{n}"),
        )
    assert ledger.transactions.writes == writes, ledger.transactions
    ledger.close()

asyncio.run(main(*sys.argv[1:4], number=sys.argv[4], writes=int(sys.argv[5])))
"""


async def test_every_write_of_four_processes_succeeds(tmp_path: Path, kind: Kind) -> None:
    async with an_empty_database(kind, folder=tmp_path) as url:
        keys = tmp_path / "keys.json"
        ledger = Ledger(url=url, keys=Keys.create(keys))
        await ledger.set_up()
        rid = (await a_case(ledger, user_id="shared", run_key="shared")).retirement_id
        writers = [
            await asyncio.create_subprocess_exec(
                sys.executable, "-c", _WRITER, url, str(keys), rid, str(number), str(WRITES),
                cwd=Path(__file__).parents[2],
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
            for number in range(PROCESSES)
        ]  # fmt: skip
        for writer in writers:  # all of them wait for the same moment
            assert writer.stdout and await writer.stdout.readline() == b"ready\n"
        for writer in writers:
            assert writer.stdin
            writer.stdin.write(b"go\n")
        ends = await asyncio.gather(*(writer.communicate() for writer in writers))
        assert [writer.returncode for writer in writers] == [0] * PROCESSES, ends
        (row,) = await ledger.steps(rid)
        assert row.failures == PROCESSES * WRITES // 2
        assert len(await ledger.cases(limit=10_000)) == 1 + PROCESSES * WRITES // 2
        ledger.close()


_VISITOR = (
    "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); print(*c.execute('select count(*) from cases').fetchone())"
)


async def test_a_second_ledger_in_a_process_takes_no_lock_from_the_first(tmp_path: Path) -> None:
    """Closing any descriptor of a file drops the process's locks on it (POSIX); a visitor would then remove the log in use."""
    async with an_empty_database("sqlite", folder=tmp_path) as url:
        first = Ledger(url=url, keys=Keys.create(tmp_path / "keys.json"))
        await first.set_up()
        await a_case(first, user_id="u-1")
        Ledger(url=url, keys=Keys.load(tmp_path / "keys.json")).close()
        for expected in (1, 2):
            visitor = await asyncio.create_subprocess_exec(
                *(sys.executable, "-c", _VISITOR, str(tmp_path / "ledger.db")), stdout=asyncio.subprocess.PIPE
            )
            output, _ = await visitor.communicate()
            assert int(output) == expected
            assert (tmp_path / "ledger.db-wal").exists()
            await a_case(first, user_id=f"u-{expected + 1}", run_key=f"run-{expected + 1}")
        first.close()
