"""What the tests of Open edX share: a stand-in for the whole site, in a process of its own."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from sandbox.launch import Sandbox
from sandbox.lms.client import StandInLms
from sandbox.lms.launch import running_lms
from tests.openedx.office import Office, an_office
from tests.openedx.retiring import Campus
from tests.support.lms_caller import LmsCaller
from tests.support.s3 import Bucket, ObjectStore, an_object_store
from tests.support.servers import NotHere, without
from tests.support.stage import staged, time_skipping_server


@pytest.fixture(scope="session")
async def lms_of_session(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[StandInLms]:
    """The process, started once. Tests take `lms`."""
    async with running_lms(folder=tmp_path_factory.mktemp("lms")) as lms:
        yield lms


@pytest.fixture
def lms(lms_of_session: StandInLms) -> Iterator[StandInLms]:
    """A fresh site: no learners, no faults, no requests, default settings."""
    lms_of_session.reset()
    yield lms_of_session
    # Requests that are still held must not happen in the next test.
    lms_of_session.reset()


@pytest.fixture(scope="session")
async def campus_of_session(
    sandbox: Sandbox, lms_of_session: StandInLms, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Campus]:
    """A stage beside the stand-in, on a server of its own: another stage's worker would take its tasks. Tests take `campus`."""
    folder = tmp_path_factory.mktemp("campus")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPENEDX_CLIENT_SECRET", lms_of_session.settings().client_secret)
        async with (
            time_skipping_server() as server,
            staged(client=server.client, server=server, sandbox=sandbox, folder=folder) as stage,
        ):
            yield Campus(stage=stage, lms=lms_of_session)


@pytest.fixture
def campus(campus_of_session: Campus, lms: StandInLms) -> Campus:
    """The same, with a fresh site."""
    return campus_of_session


@pytest.fixture
def caller(lms: StandInLms) -> Iterator[LmsCaller]:
    """A well-behaved driver of the stand-in."""
    caller = LmsCaller(lms)
    yield caller
    caller.close()


@pytest.fixture
async def office(lms: StandInLms, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Office]:
    """What archives and reports of a fresh site need."""
    async with an_office(lms, folder=tmp_path, patch=monkeypatch) as office:
        yield office


@pytest.fixture(scope="session")
async def object_store(request: pytest.FixtureRequest) -> AsyncIterator[ObjectStore]:
    """A real object store. Tests take `bucket`."""
    # Past what pytest captures: the first time on a machine this takes a minute.
    say = request.config.get_terminal_writer().line
    try:
        async with an_object_store(say=say) as store:
            yield store
    except NotHere as why:
        without("s3", why)


@pytest.fixture
def bucket(object_store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    """An empty bucket; its credentials are where a place looks for them."""
    bucket = object_store.add_bucket()
    for name, value in bucket.environment.items():
        monkeypatch.setenv(name, value)
    yield bucket
    bucket.client.close()
