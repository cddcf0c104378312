"""What the plan reference says of ownership is true: its example is right, and it tells everything an asset may become."""

from pathlib import Path

from plans.loading import check_plan
from plans.reference import plan_reference
from plans.reference_ownership import ASSET_RESULTS, OWNERSHIP_EXAMPLE
from workflows.names import AssetResult


def test_the_example_is_a_plan_that_nothing_is_said_against(tmp_path: Path) -> None:
    assert OWNERSHIP_EXAMPLE in plan_reference()
    path = tmp_path / "team.yaml"
    path.write_text(OWNERSHIP_EXAMPLE)
    assert check_plan(path, secrets=False) == ()


def test_everything_that_may_become_of_an_asset_is_told() -> None:
    assert set(ASSET_RESULTS) == set(AssetResult)
    page = plan_reference()
    for result, what in ASSET_RESULTS.items():
        assert f"| `{result}` | {what} |" in page


def test_templates_are_written_as_plans_have_them() -> None:
    assert "{{{" not in plan_reference()
    assert "`?reassign_to={{ successor.id }}`" in plan_reference()
