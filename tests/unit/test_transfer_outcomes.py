"""How the outcomes of assets are put together, and how refusals read."""

import pytest

from ledger.rows import Asset, AssetRow
from ledger.transfers import Obstacle, TransferOpening
from starter.exit_codes import ExitCode
from starter.ownership.outcomes import outcomes_of
from starter.ownership.refusals import meaning_of, refused
from workflows.names import AssetResult


def a_row(id: str, step: str, result: AssetResult | None, code: str | None = None) -> AssetRow:
    return AssetRow(
        step=step, key=f"{step}-{id}", position=1, inventory=0, asset=Asset(id=id), result=result, code=code
    )


_NOT_FOUND, _MOVED, _REFUSED = AssetResult.NOT_FOUND, AssetResult.MOVED, AssetResult.REFUSED


@pytest.mark.parametrize(
    ("results", "counts", "has_problems"),
    [
        ((_NOT_FOUND, _MOVED), {"moved": 1}, False),
        ((_MOVED, _NOT_FOUND), {"moved": 1}, False),
        ((_REFUSED, _MOVED), {"moved": 1}, False),
        ((_NOT_FOUND, AssetResult.ALREADY_OWNED), {"already_owned": 1}, False),
        ((_NOT_FOUND, _REFUSED), {"refused": 1}, True),
        ((_NOT_FOUND, None), {"waiting": 1}, False),
        ((_NOT_FOUND, _NOT_FOUND), {"not_found": 1}, True),
    ],
)
def test_a_named_asset_that_is_found_at_one_step_is_found(
    results: tuple[AssetResult | None, ...], counts: dict[str, int], has_problems: bool
) -> None:
    rows = [a_row("d-1", f"step{number}", result) for number, result in enumerate(results)]
    outcomes = outcomes_of(rows, only_named=True)
    assert (outcomes.counts, outcomes.has_problems) == (counts, has_problems)


def test_assets_of_the_same_id_at_two_services_are_two_where_all_are_meant() -> None:
    rows = [a_row("1", "documents", _MOVED), a_row("1", "boards", _MOVED)]
    assert outcomes_of(rows, only_named=False).counts == {"moved": 2}


def test_of_many_those_are_shown_that_need_to_be_seen_to() -> None:
    rows = [a_row(str(number), "documents", _REFUSED if number % 10 == 0 else _MOVED) for number in range(1_000)]
    shown = outcomes_of(rows, only_named=True).shown()
    assert len(shown) == 50 and {row.result for row in shown} == {_REFUSED}
    assert len(outcomes_of(rows[:50], only_named=True).shown()) == 50


@pytest.mark.parametrize("obstacle", Obstacle)
def test_every_obstacle_is_told_with_what_to_do(obstacle: Obstacle) -> None:
    error = refused(TransferOpening(case=None, obstacle=obstacle))
    assert error.line.startswith(f"Refused ({obstacle}): ") and len(error.line) > 60
    assert error.code in (ExitCode.REFUSED, ExitCode.USAGE, ExitCode.ALREADY_RUNNING)


def test_a_code_is_told_in_words() -> None:
    assert "`retire suggest` names who may (colleague:named_unsuitable)" in meaning_of("colleague:named_unsuitable")
    assert "--subject org=… --subject site=…" in meaning_of("needs_subject.org,needs_subject.site")
    assert meaning_of("documents:http_500") == "see the runbook (documents:http_500)"
