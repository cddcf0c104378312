"""The Temporal server is found or got in the documented order, and whoever has none is told what to do."""

import io
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from tools import temporal_server
from tools.temporal_server import NoTemporalServer, temporal_cli

SCRIPT = Path(temporal_server.__file__)


def a_program(path: Path, *, body: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


def a_cli(path: Path, *, server: str = "1.32.0") -> Path:
    return a_program(path, body=f"echo 'temporal version 1.9.1 (Server {server}, UI 2.54.1)'")


def a_go(path: Path, *, builds: str = "1.32.0", version: str = "go1.26.8", seconds: float = 0) -> Path:
    """A stand-in for Go that takes so long to write a CLI of the wanted server to where `-o` says, and counts builds."""
    cli = f"echo 'temporal version 1.9.1 (Server {builds}, UI 2.54.1)'"
    body = f"""
        if [ "$1" = env ]; then echo {version}; exit; fi
        echo built >> "$0.builds"
        while [ "$1" != -o ]; do shift; done
        echo 'go: downloading example.invalid v1.0.0' >&2
        printf '%s\\n' '#!/bin/sh' "{cli}" > "$2"; chmod +x "$2"; sleep {seconds}"""
    return a_program(path, body=body)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """A machine with nothing on it, and no way out for the SDK's download."""
    monkeypatch.setattr(temporal_server, "_DOWNLOAD", "raise SystemExit('no network')")
    (tmp_path / "bin").mkdir()
    return {"PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin", "XDG_CACHE_HOME": str(tmp_path / "cache"), "HOME": "/nowhere"}


@pytest.fixture
def cached(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "account-retirement" / "temporal-cli" / temporal_server.cli_version() / "temporal"


def test_the_named_cli_comes_first(machine: dict[str, str], tmp_path: Path, cached: Path) -> None:
    a_cli(tmp_path / "bin" / "temporal")
    a_cli(cached)
    named = a_cli(tmp_path / "elsewhere" / "temporal")
    assert temporal_cli(environ={**machine, "TEMPORAL_CLI": str(named)}, out=io.StringIO()) == named


def test_the_cli_on_path_comes_before_the_cache(machine: dict[str, str], tmp_path: Path, cached: Path) -> None:
    on_path = a_cli(tmp_path / "bin" / "temporal")
    a_cli(cached)
    assert temporal_cli(environ=machine, out=io.StringIO()) == on_path


@pytest.mark.parametrize("server", ["1.31.2", "1.4.0", "0.99.9"])
def test_a_server_that_is_too_old_is_said_and_passed_over(
    machine: dict[str, str], tmp_path: Path, cached: Path, server: str
) -> None:
    old = a_cli(tmp_path / "bin" / "temporal", server=server)
    a_cli(cached)
    said = io.StringIO()
    assert temporal_cli(environ=machine, out=said) == cached
    assert f"passed over: {old} brings server" in said.getvalue()


@pytest.mark.parametrize("server", ["1.32.0", "1.40.1", "2.0.0"])
def test_a_newer_server_will_do(machine: dict[str, str], tmp_path: Path, server: str) -> None:
    newer = a_cli(tmp_path / "bin" / "temporal", server=server)
    assert temporal_cli(environ=machine, out=io.StringIO()) == newer


def test_a_cached_file_that_does_not_run_is_got_again(machine: dict[str, str], tmp_path: Path, cached: Path) -> None:
    a_program(cached, body="exit 1")
    a_go(tmp_path / "bin" / "go")
    temporal_cli(environ=machine, out=io.StringIO())
    assert "1.32.0" in cached.read_text()


def test_the_sdk_download_is_kept_in_the_cache(
    machine: dict[str, str], cached: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    download = """
import pathlib, sys
program = pathlib.Path(sys.argv[2]) / f"temporal-cli-{sys.argv[1]}"
program.write_text("#!/bin/sh\\necho 'temporal version 1.9.1 (Server 1.32.0, UI 2.54.1)'\\n")
program.chmod(0o755)
"""
    monkeypatch.setattr(temporal_server, "_DOWNLOAD", download)
    assert temporal_cli(environ=machine, out=io.StringIO()) == cached
    assert [path.name for path in cached.parent.iterdir() if path.name != "lock"] == ["temporal"]


def test_a_download_that_hangs_is_ended_and_the_next_way_tried(
    machine: dict[str, str], tmp_path: Path, cached: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(temporal_server, "_DOWNLOAD", "import threading; threading.Event().wait()")
    monkeypatch.setattr(temporal_server, "DOWNLOAD_LIMIT", 0.3)
    monkeypatch.setattr(temporal_server, "SIGN_OF_LIFE", 0.1)
    a_go(tmp_path / "bin" / "go", seconds=0.3)
    said = io.StringIO()
    assert temporal_cli(environ=machine, out=said) == cached
    assert "  downloading: 0:00\n" in said.getvalue()
    assert "  building: 0:00, modules fetched 1\n" in said.getvalue()


def test_two_runs_at_once_build_once(machine: dict[str, str], tmp_path: Path, cached: Path) -> None:
    go = a_go(tmp_path / "bin" / "go", seconds=0.3)
    found: list[Path] = []
    runs = [
        threading.Thread(target=lambda: found.append(temporal_cli(environ=machine, out=io.StringIO())))
        for _ in range(2)
    ]
    for run in runs:
        run.start()
    for run in runs:
        run.join(timeout=30)
    assert found == [cached, cached]
    assert Path(f"{go}.builds").read_text() == "built\n"


def test_what_a_killed_run_left_is_cleared_away(machine: dict[str, str], tmp_path: Path, cached: Path) -> None:
    left_over = cached.parent / "getting-abc" / "temporal"
    a_program(left_over, body="half of it")
    a_go(tmp_path / "bin" / "go")
    temporal_cli(environ=machine, out=io.StringIO())
    assert not left_over.parent.exists()


@pytest.mark.parametrize(
    ("go", "why"),
    [
        ({}, "go is not on PATH"),
        ({"version": "go1.20.14"}, "at least 1.21 is needed"),
        ({"builds": "1.29.0"}, "brings server 1.29"),
    ],
)
def test_a_machine_with_none_is_told_what_was_tried_and_what_to_do(
    machine: dict[str, str], tmp_path: Path, go: dict[str, Any], why: str
) -> None:
    machine["PATH"] = str(tmp_path / "bin")
    if go:
        a_go(tmp_path / "bin" / "go", **go)
        # The stand-in is a shell script, and needs these; Go itself must not be among them.
        for name in ("sh", "chmod", "sleep"):
            (tmp_path / "bin" / name).symlink_to(f"/bin/{name}")
    with pytest.raises(NoTemporalServer, match=why) as caught:
        temporal_cli(environ=machine, out=io.StringIO())
    text = str(caught.value)
    for way in ("1. TEMPORAL_CLI", "2. the cache", "3. download", "4. build with Go", "no network", "GOPROXY"):
        assert way in text


def test_a_cache_that_cannot_be_written_is_told(machine: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    with pytest.raises(NoTemporalServer, match="set XDG_CACHE_HOME"):
        temporal_cli(environ=machine, out=io.StringIO())


def test_the_script_prints_only_the_path(tmp_path: Path) -> None:
    named = a_cli(tmp_path / "temporal")
    done = subprocess.run(
        [sys.executable, SCRIPT],
        env={**os.environ, "TEMPORAL_CLI": str(named)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{named}\n", "")
