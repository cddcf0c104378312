"""A real object store that speaks S3 for the tests (Versity S3 Gateway): built by Go once, into the cache of this machine."""

import asyncio
import contextlib
import fcntl
import os
import re
import secrets
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import botocore.session
import httpx
from botocore.config import Config

from openedx.site import BucketPlace
from tests.support.servers import NotHere, Server, free_port

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

_MODULE = Path(__file__).resolve().parents[2] / "tools" / "s3-server"
_PACKAGE = "github.com/versity/versitygw"
_BUILT_WITHIN = 900.0
_READY_WITHIN = 60.0
#: Where tests of commands look for the credentials: the default of a place.
ID, SECRET = "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"


@dataclass(frozen=True, kw_only=True)
class Bucket:
    """A bucket of its own, as its owner sees it."""

    name: str
    url: str
    id: str
    secret: str = field(repr=False)
    client: "S3Client" = field(repr=False)

    @property
    def environment(self) -> dict[str, str]:
        """The credentials, where a place looks for them by default."""
        return {ID: self.id, SECRET: self.secret}

    def place(self, **details: Any) -> BucketPlace:
        """How a site's file names it. The store encrypts nothing, and doesn't say that it does."""
        return BucketPlace.model_validate({"bucket": self.name, "endpoint": self.url, "encryption": "none", **details})

    def keys(self) -> list[str]:
        """The keys of all objects."""
        listed = self.client.list_objects_v2(Bucket=self.name)
        return [found["Key"] for found in listed.get("Contents", [])]

    def put(self, key: str, content: bytes = b"x") -> None:
        """Store an object, as somebody else does."""
        self.client.put_object(Bucket=self.name, Key=key, Body=content)

    def content(self, key: str) -> bytes:
        """What is in an object."""
        return self.client.get_object(Bucket=self.name, Key=key)["Body"].read()

    def keep_versions(self) -> None:
        """From now on an object that is replaced or deleted stays as an older version."""
        self.client.put_bucket_versioning(Bucket=self.name, VersioningConfiguration={"Status": "Enabled"})

    def versions(self) -> int:
        """How many versions and marks of deletion there are."""
        listed = self.client.list_object_versions(Bucket=self.name)
        return len(listed.get("Versions", [])) + len(listed.get("DeleteMarkers", []))


@dataclass(frozen=True, kw_only=True)
class ObjectStore:
    """A server on loopback."""

    url: str
    id: str
    secret: str = field(repr=False)

    def add_bucket(self) -> Bucket:
        """An empty bucket, which is there as long as the server."""
        client = cast(
            "S3Client",
            botocore.session.get_session().create_client(
                "s3",
                region_name="us-east-1",
                endpoint_url=self.url,
                aws_access_key_id=self.id,
                aws_secret_access_key=self.secret,
                config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}),
            ),
        )
        name = f"test-{uuid.uuid4().hex}"
        client.create_bucket(Bucket=name)
        return Bucket(name=name, url=self.url, id=self.id, secret=self.secret, client=client)


@contextlib.asynccontextmanager
async def an_object_store(*, say: Callable[[str], None] = lambda _: None) -> AsyncIterator[ObjectStore]:
    """A server with a folder of its own, until the block ends. `say` hears what takes long.

    Raises:
        NotHere: it can't be had on this machine.
    """
    program = await asyncio.to_thread(_program, say=say)
    folder = Path(tempfile.mkdtemp(prefix="retirement-s3-"))
    store = ObjectStore(url=f"http://127.0.0.1:{free_port()}", id="retirement", secret=secrets.token_urlsafe(24))
    (folder / "data").mkdir()
    (folder / "versions").mkdir()
    server = Server(
        "the S3 server",
        (
            str(program),
            *("--port", store.url.removeprefix("http://"), "--health", "/health", "--quiet"),
            *("posix", "--versioning-dir", str(folder / "versions"), str(folder / "data")),
        ),
        log=folder / "log",
        environment=_environment() | {"ROOT_ACCESS_KEY": store.id, "ROOT_SECRET_KEY": store.secret},
    )
    try:
        async with httpx.AsyncClient(base_url=store.url, timeout=5, trust_env=False) as http:
            await server.start()
            await server.ready(lambda: _answers(http), within=_READY_WITHIN)
        yield store
    finally:
        await server.stop()
        shutil.rmtree(folder)


async def _answers(http: httpx.AsyncClient) -> bool:
    try:
        return (await http.get("/health")).is_success
    except httpx.TransportError:
        return False


def _environment() -> dict[str, str]:
    """Ours, without what the person has set for a gateway of their own."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("VGW_", "ROOT_"))}


def _program(*, say: Callable[[str], None]) -> Path:
    """The server's program; built where the cache lacks it.

    Raises:
        NotHere: Go is missing, or could not build it.
    """
    version = re.search(rf"{re.escape(_PACKAGE)} (v\S+)", (_MODULE / "go.mod").read_text())
    assert version is not None, f"{_MODULE / 'go.mod'} requires no {_PACKAGE}"
    root = os.environ.get("XDG_CACHE_HOME", "")
    # The XDG rules say that a relative path is to be ignored.
    base = Path(root) if os.path.isabs(root) else Path.home() / ".cache"
    folder = base / "account-retirement" / "s3-server" / version[1]
    ready = folder / "versitygw"
    if ready.exists():
        return ready
    go = shutil.which("go")
    if go is None:
        raise NotHere(f"no go on PATH; install Go 1.21 or newer, or copy {ready} from a machine that has it")
    folder.mkdir(parents=True, exist_ok=True)
    with _lock(folder, say=say), tempfile.TemporaryDirectory(prefix="getting-", dir=folder) as work:
        if not ready.exists():
            say(f"building the S3 server {version[1]} by Go, once (about a minute)")
            _build(go, target=Path(work) / "versitygw")
            os.replace(Path(work) / "versitygw", ready)
    return ready


def _build(go: str, *, target: Path) -> None:
    # `auto` lets an older Go fetch the toolchain that go.mod names. CGO off: needs no C compiler. A workspace or flags of
    # the person's own Go projects have no say here.
    ours = {"GOTOOLCHAIN": "auto", **os.environ, "CGO_ENABLED": "0", "GOWORK": "off", "GOFLAGS": ""}
    flags = ["-mod=readonly", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w"]
    try:
        done = subprocess.run(
            [go, "build", *flags, "-o", str(target), f"{_PACKAGE}/cmd/versitygw"],
            cwd=_MODULE,
            env=ours,
            capture_output=True,
            text=True,
            timeout=_BUILT_WITHIN,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise NotHere(f"Go had not built it within {_BUILT_WITHIN:.0f} s; run the tests again") from None
    if done.returncode != 0:
        said = "\n".join((done.stdout + done.stderr).splitlines()[-5:])
        raise NotHere(f"Go could not build it; let it reach a module proxy (GOPROXY). It says:\n{said}")


@contextlib.contextmanager
def _lock(folder: Path, *, say: Callable[[str], None]) -> Iterator[None]:
    """Let one run at a time get it. The lock goes with the process, however that ends."""
    with (folder / "lock").open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another run, which is building the S3 server already")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
