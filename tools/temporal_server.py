"""Find or get a Temporal CLI whose development server can skip time, and print its path.

    python tools/temporal_server.py        path on stdout, progress on stderr; exit code 1 when none can be had

Looked for in this order: TEMPORAL_CLI and `temporal` on PATH, this project's cache, the Temporal SDK's own download,
a build with Go from `tools/temporal-cli/go.mod`. Runs on a plain Python 3.11, as a script or as a module.
"""

import fcntl
import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, TextIO

MODULE_DIR = Path(__file__).resolve().parent / "temporal-cli"
#: The first server whose development mode skips time for single workflows and has fairness keys.
OLDEST_SERVER = (1, 32)
#: The first Go that fetches the toolchain that go.mod asks for.
OLDEST_GO = (1, 21)
DOWNLOAD_LIMIT = 60.0
SIGN_OF_LIFE = 5.0

# Runs in a process of its own, so that a download that hangs can be ended: the SDK has no time limit for it.
_DOWNLOAD = """
import asyncio, sys
from temporalio.testing import WorkflowEnvironment

async def download():
    environment = await WorkflowEnvironment.start_local(
        dev_server_download_version=sys.argv[1], download_dest_dir=sys.argv[2])
    await environment.shutdown()

asyncio.run(download())
"""


class NotThisWay(Exception):
    """One way to a Temporal CLI came to nothing; the text says why, and the next way is tried."""


class NoTemporalServer(Exception):
    """No way led to a Temporal CLI; the text lists them all, and what to do."""


@dataclass(frozen=True, kw_only=True)
class Progress:
    """Notes for the person who waits: lines, and while something runs a sign of life every few seconds."""

    out: TextIO

    def note(self, text: str) -> None:
        """Print one line."""
        coloured = self.out.isatty() and "NO_COLOR" not in os.environ
        mark = "\033[36m▸\033[0m" if coloured else "▸"
        print(f"{mark} {text}", file=self.out, flush=True)

    def while_running(self, what: str, *, done: Callable[[], bool], state: Callable[[], str]) -> None:
        """Wait until `done`, saying every few seconds for how long already and how far it is."""
        started = said = time.monotonic()
        on_terminal = self.out.isatty()
        while not done():
            # A child process is watched, and it has no awaitable end here.
            time.sleep(0.05)
            now = time.monotonic()
            if now - said >= (1.0 if on_terminal else SIGN_OF_LIFE):
                said = now
                line = f"  {what}: {_clock(now - started)}{state()}"
                print(f"\r\033[K{line}" if on_terminal else line, end="" if on_terminal else "\n", file=self.out)
                self.out.flush()
        if on_terminal:
            print("\r\033[K", end="", file=self.out, flush=True)


def temporal_cli(*, environ: Mapping[str, str] = os.environ, out: TextIO = sys.stderr) -> Path:
    """The path of a usable Temporal CLI; it is fetched or built when the machine has none.

    Raises:
        NoTemporalServer: none of the ways led to one.
    """
    progress = Progress(out=out)
    cached = _cache_dir(environ) / "temporal"
    tried: dict[str, str] = {}
    try:
        return _installed(environ=environ, progress=progress)
    except NotThisWay as why:
        tried["TEMPORAL_CLI, or temporal on PATH"] = str(why)
    try:
        return _usable(cached)
    except NotThisWay as why:
        tried["the cache"] = str(why)
    with _lock(cached.parent, progress=progress):
        try:
            return _usable(cached)  # Another run may have got it while this one waited for the lock.
        except NotThisWay:
            pass
        for left_over in cached.parent.glob("getting-*"):  # By a run that was killed.
            shutil.rmtree(left_over, ignore_errors=True)
        progress.note(f"no Temporal server on this machine: getting CLI {cli_version()}, once, into the cache")
        for name, get in (("download by the Temporal SDK", _download), ("build with Go", _build)):
            with tempfile.TemporaryDirectory(prefix="getting-", dir=cached.parent) as work:
                try:
                    fetched = Path(work) / "temporal"
                    get(fetched, environ=environ, progress=progress)
                    _usable(fetched)
                except NotThisWay as why:
                    tried[name] = str(why)
                    progress.note(f"{name}: {str(why).splitlines()[0]}")
                    continue
                os.replace(fetched, cached)
                progress.note(f"{name}: done, kept as {cached}")
                return cached
    raise NoTemporalServer(_advice(tried, cached=cached))


def cli_version() -> str:
    """The CLI version that `go.mod` pins; the cache and the download follow it."""
    found = re.search(r"github\.com/temporalio/cli v(\S+)", (MODULE_DIR / "go.mod").read_text())
    if found is None:
        raise NoTemporalServer(
            f"{MODULE_DIR / 'go.mod'} does not require github.com/temporalio/cli; restore it from git"
        )
    return found[1]


def _cache_dir(environ: Mapping[str, str]) -> Path:
    root = environ.get("XDG_CACHE_HOME", "")
    # The XDG rules say that a relative path is to be ignored.
    base = Path(root) if os.path.isabs(root) else Path(environ.get("HOME") or Path.home()) / ".cache"
    return base / "account-retirement" / "temporal-cli" / cli_version()


def _installed(*, environ: Mapping[str, str], progress: Progress) -> Path:
    reasons = []
    for origin, found in (
        ("TEMPORAL_CLI", environ.get("TEMPORAL_CLI")),
        ("PATH", shutil.which("temporal", path=environ.get("PATH"))),
    ):
        if found:
            try:
                return _usable(Path(found))
            except NotThisWay as why:
                reasons.append(f"{why} (from {origin})")
                progress.note(f"passed over: {reasons[-1]}")
    raise NotThisWay("; ".join(reasons) or "none there")


def _usable(path: Path) -> Path:
    """The absolute path, when this is a Temporal CLI with a new enough server."""
    if not path.is_file() or not os.access(path, os.X_OK):
        raise NotThisWay(f"{path} is not a program" if path.exists() else f"{path} does not exist")
    try:
        command = [str(path.absolute()), "--version"]
        said = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False).stdout
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotThisWay(f"{path} --version fails ({type(error).__name__})") from None
    found = re.search(r"Server (\d+)\.(\d+)", said)
    if found is None:
        raise NotThisWay(f"{path} --version names no server version")
    if (int(found[1]), int(found[2])) < OLDEST_SERVER:
        raise NotThisWay(f"{path} brings server {found[1]}.{found[2]}, at least {_dotted(OLDEST_SERVER)} is needed")
    return path.absolute()


def _download(target: Path, *, environ: Mapping[str, str], progress: Progress) -> None:
    python = _python_with_sdk()
    folder = target.parent / "download"
    folder.mkdir()
    command = [python, "-c", _DOWNLOAD, f"v{cli_version()}", str(folder)]
    child = _Child(command, environ=environ, cwd=target.parent)
    if not child.finish("downloading", progress=progress, limit=DOWNLOAD_LIMIT):
        raise NotThisWay(f"not there after {DOWNLOAD_LIMIT:.0f} s")
    programs = [path for path in folder.iterdir() if path.is_file() and os.access(path, os.X_OK)]
    if child.failed or len(programs) != 1:
        raise NotThisWay(f"failed ({child.last_line()})")
    os.replace(programs[0], target)


def _python_with_sdk() -> str:
    if importlib.util.find_spec("temporalio") is not None:
        return sys.executable
    venv = MODULE_DIR.parents[1] / ".venv" / "bin" / "python"
    if venv.exists():
        return str(venv)
    raise NotThisWay("temporalio is not installed for this Python, and there is no .venv")


def _build(target: Path, *, environ: Mapping[str, str], progress: Progress) -> None:
    go = shutil.which("go", path=environ.get("PATH"))
    if go is None:
        raise NotThisWay("go is not on PATH")
    # `auto` lets an older Go fetch the toolchain that go.mod names. CGO off: needs no C compiler. A workspace or
    # flags of the person's own Go projects have no say here.
    ours = {"GOTOOLCHAIN": "auto", **environ, "CGO_ENABLED": "0", "GOWORK": "off", "GOFLAGS": ""}
    version = subprocess.run(
        [go, "env", "GOVERSION"], env={**ours, "GOTOOLCHAIN": "local"}, capture_output=True, text=True, check=False
    ).stdout.strip()
    found = re.search(r"go(\d+)\.(\d+)", version)
    if found is None or (int(found[1]), int(found[2])) < OLDEST_GO:
        raise NotThisWay(f"{go} is {version or 'not working'}, at least {_dotted(OLDEST_GO)} is needed")
    package = "github.com/temporalio/cli"
    flags = f"-s -w -X {package}/internal/temporalcli.Version={cli_version()}"
    command = [go, "build", "-v", "-mod=readonly", "-trimpath", "-buildvcs=false", "-ldflags", flags]
    progress.note(f"building it with {version}; about 4 minutes on two cores when nothing is cached")
    child = _Child([*command, "-o", str(target), f"{package}/cmd/temporal"], environ=ours, cwd=MODULE_DIR)
    child.finish("building", progress=progress, limit=None)
    if child.failed:
        raise NotThisWay(f"go build failed\n{child.last_lines()}")


class _Child:
    """A command that runs in a process group of its own, with its output counted and the last lines kept."""

    def __init__(self, command: Sequence[str], *, environ: Mapping[str, str], cwd: Path) -> None:
        self._output = tempfile.TemporaryFile()
        self._process = subprocess.Popen(
            command,
            env=dict(environ),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._downloaded = self._compiled = 0
        self._read = 0
        self._tail: deque[str] = deque(maxlen=15)

    def finish(self, what: str, *, progress: Progress, limit: float | None) -> bool:
        """Wait for its end, at most for `limit` seconds; whatever happens, it and its children are gone afterwards."""
        deadline = None if limit is None else time.monotonic() + limit

        def done() -> bool:
            self._look()
            return self._process.poll() is not None or (deadline is not None and time.monotonic() > deadline)

        try:
            progress.while_running(what, done=done, state=self._state)
            return self._process.poll() is not None
        finally:
            try:
                os.killpg(self._process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            self._process.wait()
            self._look()
            self._output.close()

    @property
    def failed(self) -> bool:
        return self._process.returncode != 0

    def last_line(self) -> str:
        return self._tail[-1].strip() if self._tail else "it says nothing"

    def last_lines(self) -> str:
        return "\n".join(f"     {line}" for line in self._tail)

    def _look(self) -> None:
        fresh = os.pread(self._output.fileno(), 1 << 20, self._read)
        complete = fresh[: fresh.rfind(b"\n") + 1] or (fresh if self._process.returncode is not None else b"")
        self._read += len(complete)
        for line in complete.decode(errors="replace").splitlines():
            if line.startswith("go: downloading "):
                self._downloaded += 1
            elif re.fullmatch(r"[\w./~-]+", line):
                self._compiled += 1
            else:
                self._tail.append(line)

    def _state(self) -> str:
        counts = ((self._downloaded, "modules fetched"), (self._compiled, "packages compiled"))
        return "".join(f", {what} {count}" for count, what in counts if count)


@contextmanager
def _lock(folder: Path, *, progress: Progress) -> Iterator[None]:
    """Let one run at a time get the CLI. The lock goes with the process, however that ends."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = (folder / "lock").open("w")
    except OSError as error:
        raise NoTemporalServer(
            f"{folder} can't be written to ({error.strerror}); set XDG_CACHE_HOME to a folder that can"
        ) from None

    def taken() -> bool:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    with handle:
        if not taken():
            progress.note("another run is getting the Temporal server already")
            progress.while_running("waiting for it", done=taken, state=str)
        yield


def _advice(tried: Mapping[str, str], *, cached: Path) -> str:
    ways = "\n".join(f"  {number}. {name}: {why}" for number, (name, why) in enumerate(tried.items(), start=1))
    return f"""no Temporal server {_dotted(OLDEST_SERVER)} or newer on this machine, and none could be got. Tried:
{ways}
Do one of these, and run the same command again:
  - install the Temporal CLI {cli_version()} or newer, on PATH or named by TEMPORAL_CLI=/path/to/temporal
  - copy {cached} from a machine that has it
  - let this machine reach the Temporal project's download server
  - install Go {_dotted(OLDEST_GO)} or newer, and let it reach a Go module proxy (GOPROXY)"""


def _dotted(version: tuple[int, int]) -> str:
    return ".".join(map(str, version))


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def _stop(*_: Any) -> NoReturn:
    # Raised, not died of: what was started is ended on the way out.
    raise SystemExit(143)


def main() -> int:
    """Print the path; the exit code says whether there is one."""
    signal.signal(signal.SIGTERM, _stop)
    try:
        print(temporal_cli())
    except NoTemporalServer as error:
        print(f"✗ {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped; nothing is left half-done", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
