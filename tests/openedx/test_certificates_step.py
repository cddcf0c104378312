"""Purging one learner's certificates as a step of a plan."""

import tomllib
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
import yaml

from activities.actions.action import Call
from activities.actions.answers import Answer
from activities.actions.python import PythonAction
from activities.actions.python_call import PythonCall, Refused
from openedx.certificates import step as module
from openedx.certificates.step import (
    CertificatesLeft,
    ListingOlderThanRetirement,
    NoCertificatesSettings,
    purge_pdf_certificates,
)
from plans.loading import load_plan
from plans.requests import CALLS_GROUP, PythonRequest
from plans.services import PythonService
from sandbox.lms.client import StandInLms
from tests.openedx.certificates import ROUTE, Archive, an_archive
from tests.openedx.pipelines import FOUR, driver_document, write_plan

_NAME = "purge_pdf_certificates"


@pytest.fixture
async def archive(lms: StandInLms, tmp_path: Path) -> AsyncIterator[Archive]:
    """An archive whose site has an endpoint that blanks."""
    async with an_archive(tmp_path, lms=lms) as archive:
        yield archive


@pytest.fixture
def step(archive: Archive) -> Callable[[int], PythonCall]:
    """The call that a plan's step makes for a learner."""

    def call(user_id: int) -> PythonCall:
        return PythonCall(
            arguments={"user_id": user_id},
            settings={
                "site": str(archive.desk.site),
                "database_url": archive.desk.settings["RETIREMENT_DATABASE_URL"],
                "keys_file": archive.desk.settings["RETIREMENT_KEYS_FILE"],
            },
            idempotency_key="r-1:certificates",
            timeout=timedelta(seconds=30),
        )

    return call


async def test_a_step_purges_the_certificates_of_its_learner_alone(
    archive: Archive, step: Callable[[int], PythonCall]
) -> None:
    ada, grace = archive.learner("ada"), archive.learner("grace")
    mine, hers = archive.certificate(ada), archive.certificate(grace)
    archive.export()

    assert await purge_pdf_certificates(step(ada)) == {"purged": 1, "purged_before": 0}

    assert archive.is_blank(mine) and archive.files(mine) == 0
    assert not archive.is_blank(hers) and archive.files(hers) == 4
    assert await purge_pdf_certificates(step(ada)) == {"purged": 0, "purged_before": 1}


async def test_a_step_waits_for_the_listing_that_knows_the_learner_as_retired(
    archive: Archive, step: Callable[[int], PythonCall]
) -> None:
    ada = archive.learner("ada", state="PENDING")
    certificate = archive.certificate(ada)
    archive.export()
    with pytest.raises(ListingOlderThanRetirement):
        await purge_pdf_certificates(step(ada))
    assert archive.files(certificate) == 4

    archive.lms.change_row("ada", state="RETIRING_LMS")
    archive.export()
    assert await purge_pdf_certificates(step(ada)) == {"purged": 1, "purged_before": 0}


async def test_a_step_without_certificates_is_done(archive: Archive, step: Callable[[int], PythonCall]) -> None:
    archive.export()
    assert await purge_pdf_certificates(step(archive.learner("ada"))) == {"purged": 0, "purged_before": 0}


async def test_a_step_says_what_only_a_person_can_mend(archive: Archive, step: Callable[[int], PythonCall]) -> None:
    ada = archive.learner("ada")
    archive.certificate(ada, files=0)
    archive.export()
    with pytest.raises(Refused) as refused:
        await purge_pdf_certificates(step(ada))
    assert refused.value.code == "none_found"


async def test_a_step_whose_links_are_not_blanked_is_tried_again(
    archive: Archive, step: Callable[[int], PythonCall]
) -> None:
    ada = archive.learner("ada")
    certificate = archive.certificate(ada)
    archive.export()
    archive.lms.misbehave("status", route=ROUTE, status=403)
    with pytest.raises(CertificatesLeft):
        await purge_pdf_certificates(step(ada))
    assert archive.files(certificate) == 0

    assert await purge_pdf_certificates(step(ada)) == {"purged": 1, "purged_before": 0}
    assert archive.is_blank(certificate)


async def test_a_step_of_a_site_without_certificates_says_so(
    archive: Archive, step: Callable[[int], PythonCall]
) -> None:
    archive.desk.write_site()
    with pytest.raises(NoCertificatesSettings):
        await purge_pdf_certificates(step(1))


async def test_a_worker_calls_it_by_its_name(
    archive: Archive, step: Callable[[int], PythonCall], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a thread, where the LMS command is started from, too."""
    archive.blank_by_command()
    ada = archive.learner("ada")
    certificate = archive.certificate(ada)
    archive.export()
    about = tmp_path / "account_retirement-9.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: account-retirement\nVersion: 9\n")
    (about / "entry_points.txt").write_text(f"[{CALLS_GROUP}]\n{_NAME} = {_offered()}\n")
    monkeypatch.syspath_prepend(tmp_path)
    action = PythonAction()
    service = PythonService(type="python", settings=dict(step(ada).settings), timeout=timedelta(seconds=30))
    request = PythonRequest(call=_NAME, arguments={"user_id": "{{ subject.lms_user_id }}"})

    answer = await action.call(
        Call(service=service, request=request, context={"subject": {"lms_user_id": ada}}, key="r-1:certificates")
    )

    assert isinstance(answer, Answer), answer
    assert answer.body == {"purged": 1, "purged_before": 0}
    assert archive.is_blank(certificate)


def test_the_package_offers_the_step() -> None:
    assert EntryPoint(name=_NAME, value=_offered(), group=CALLS_GROUP).load() is purge_pdf_certificates


def test_the_step_that_is_shown_fits_into_a_plan(tmp_path: Path) -> None:
    document = driver_document("https://lms.example", FOUR)
    shown = yaml.safe_load((module.__doc__ or "").split("```yaml")[1].split("```")[0])

    def put_in(plan: dict[str, Any]) -> None:
        plan["services"] |= shown["services"]
        [last, before] = reversed([*plan["steps"]][-2:])
        plan["steps"]["certificates"] = {**shown["steps"]["certificates"], "after": [before]}
        plan["steps"][last]["after"] = ["certificates"]

    write_plan(tmp_path, "openedx", document=document, change=put_in)
    assert load_plan(tmp_path / "openedx.yaml").steps["certificates"].service == "certificates"


def _offered() -> str:
    """What the package offers under the step's name."""
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    return str(project["project"]["entry-points"][CALLS_GROUP][_NAME])
