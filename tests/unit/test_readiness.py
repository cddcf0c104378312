"""What keeps a worker from polling because of its plans, and what doesn't."""

from pathlib import Path

import pytest

from plans.loading import Plans
from tests.support.plans import PlanDocument, a_plan
from worker.readiness import NotReady, check_plans

ADDRESSES = ("ACCOUNTS_URL", "FORUM_URL", "NEWSLETTER_URL", "INVOICES_URL")


@pytest.fixture(autouse=True)
def addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ADDRESSES:
        monkeypatch.setenv(name, "http://127.0.0.1:1")


def _elsewhere(document: PlanDocument) -> None:
    document["services"]["forum"]["base_url"] = "${env:NOWHERE_SET}"


def _behind_a_queue(document: PlanDocument) -> None:
    _elsewhere(document)
    document["services"]["forum"]["queue"] = "intranet"


def test_the_default_plan_needs_all_its_addresses(tmp_path: Path) -> None:
    a_plan(tmp_path, "acme", _elsewhere)
    with pytest.raises(NotReady, match=r"plan acme, service forum: \$\{env:NOWHERE_SET\} can't be resolved"):
        check_plans(Plans(tmp_path, "acme"), default="acme", queues=("main",))


def test_another_plan_without_an_address_keeps_nobody_from_working(tmp_path: Path) -> None:
    a_plan(tmp_path, "acme")
    a_plan(tmp_path, "preset", _elsewhere)
    [unusable] = check_plans(Plans(tmp_path, "acme"), default="acme", queues=("main",))
    assert unusable.startswith("plan preset, service forum: ")


@pytest.mark.parametrize(
    ("queues", "ready"), [(("main",), True), (("intranet",), False), (("main", "intranet"), False)]
)
def test_an_address_is_needed_where_the_service_is_called_from(
    tmp_path: Path, queues: tuple[str, ...], ready: bool
) -> None:
    a_plan(tmp_path, "acme", _behind_a_queue)
    plans = Plans(tmp_path, "acme")
    if ready:
        assert check_plans(plans, default="acme", queues=queues) == ()
    else:
        with pytest.raises(NotReady):
            check_plans(plans, default="acme", queues=queues)


def test_a_plan_that_cannot_be_read_keeps_a_worker_from_working(tmp_path: Path) -> None:
    a_plan(tmp_path, "acme")
    (tmp_path / "broken.yaml").write_text("plan: broken\n")
    with pytest.raises(NotReady, match=r"broken\.yaml"):
        check_plans(Plans(tmp_path, "acme"), default="acme", queues=("main",))
