"""Keycloak's programs: fetched by Maven once, unpacked and built in the cache, for all test runs of this machine."""

import contextlib
import fcntl
import os
import re
import shutil
import subprocess
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.support.servers import NotHere

VERSION = "26.4.2"
#: What Keycloak of this version runs on.
_OLDEST_JAVA = 17
_ARTIFACT = f"org.keycloak:keycloak-quarkus-dist:{VERSION}:zip"
_FETCH = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy"
_FETCHED_WITHIN = 600.0
_BUILT_WITHIN = 300.0
#: Decided when it is built. In memory: two servers never share a database, and nothing is left behind.
_BUILD_OPTIONS = ("--db=dev-mem",)


def distribution(*, say: Callable[[str], None]) -> Path:
    """The folder of a Keycloak that is ready to be started. `say` hears what takes long.

    Raises:
        NotHere: Java or Maven is missing, or the distribution could not be fetched.
    """
    _require_java()
    folder = _cache()
    ready = folder / "server"
    folder.mkdir(parents=True, exist_ok=True)
    with _lock(folder, say=say):
        if ready.exists():
            return ready
        for left_over in folder.glob("getting-*"):  # By a run that was killed.
            shutil.rmtree(left_over, ignore_errors=True)
        with tempfile.TemporaryDirectory(prefix="getting-", dir=folder) as work:
            unpacked = _unpacked(_fetched(Path(work), say=say), Path(work))
            _build(unpacked, say=say)
            os.replace(unpacked, ready)
    return ready


def environment() -> dict[str, str]:
    """Ours, without what the person has set for a Keycloak of their own. Starts a third faster than the defaults do."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("KC_")}
    # For half a minute of work the better compiler costs more than it gains.
    return ours | {"JAVA_OPTS": "-Xmx512m -Dfile.encoding=UTF-8 -XX:TieredStopAtLevel=1 -XX:+UseSerialGC"}


def _cache() -> Path:
    root = os.environ.get("XDG_CACHE_HOME", "")
    # The XDG rules say that a relative path is to be ignored.
    base = Path(root) if os.path.isabs(root) else Path.home() / ".cache"
    return base / "account-retirement" / "keycloak" / VERSION


def _require_java() -> None:
    """Find the Java that kc.sh will take."""
    home = os.environ.get("JAVA_HOME")
    java = f"{home}/bin/java" if home else shutil.which("java")
    need = f"install Java {_OLDEST_JAVA} or newer (Debian: openjdk-17-jre-headless)"
    if java is None or not os.access(java, os.X_OK):
        raise NotHere(f"no Java on PATH; {need}" if java is None else f"JAVA_HOME names no Java; {need}")
    said = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    found = re.search(r'version "(\d+)', said)
    if found is None or int(found[1]) < _OLDEST_JAVA:
        raise NotHere(f"{java} is {found[1] if found else 'of no version we can read'}; {need}")


def _fetched(folder: Path, *, say: Callable[[str], None]) -> Path:
    maven = shutil.which("mvn")
    if maven is None:
        raise NotHere("no mvn on PATH; install Maven (Debian: maven)")
    say(f"fetching Keycloak {VERSION} by Maven, once (160 MB)")
    try:
        done = subprocess.run(
            [maven, "-q", "-B", _FETCH, f"-Dartifact={_ARTIFACT}", f"-DoutputDirectory={folder}"],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=_FETCHED_WITHIN,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise NotHere(f"Maven had not fetched {_ARTIFACT} within {_FETCHED_WITHIN:.0f} s") from None
    archives = list(folder.glob("*.zip"))
    if done.returncode != 0 or len(archives) != 1:
        said = "\n".join((done.stdout + done.stderr).splitlines()[:5])
        raise NotHere(f"Maven could not fetch {_ARTIFACT}; let it reach a repository that has it. It says:\n{said}")
    return archives[0]


def _unpacked(archive: Path, folder: Path) -> Path:
    with zipfile.ZipFile(archive) as content:
        content.extractall(folder)
    archive.unlink()
    return folder / f"keycloak-{VERSION}"


def _build(unpacked: Path, *, say: Callable[[str], None]) -> None:
    """What `start-dev` does at every first start: ten seconds that each run would wait for."""
    say(f"building Keycloak {VERSION}, once")
    done = subprocess.run(
        ["sh", unpacked / "bin" / "kc.sh", "build", *_BUILD_OPTIONS],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=_BUILT_WITHIN,
        check=False,
    )
    assert done.returncode == 0, f"kc.sh build failed:\n{done.stdout}{done.stderr}"


@contextlib.contextmanager
def _lock(folder: Path, *, say: Callable[[str], None]) -> Iterator[None]:
    """Let one run at a time get it. The lock goes with the process, however that ends."""
    with (folder / "lock").open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another run, which is getting Keycloak already")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
