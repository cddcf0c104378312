"""What is deployed with containers keeps its rules: its order, its pins, its closed doors, its names.

There may be no container engine where the tests run, so the files themselves are looked at.
"""

import fnmatch
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from pydantic import TypeAdapter

from plans.fields import Duration
from plans.loading import Plans
from worker.health import Health, _answer
from worker.settings import PREFIX, Settings
from workflows.names import CALLS_QUEUE

ROOT = Path(__file__).resolve().parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
DEMO = {name for name, service in SERVICES.items() if service.get("profiles")}
#: One-shot jobs: everything else is meant to go on.
JOBS = {"schema", "setup", "people"}


def settings_in(path: str) -> dict[str, str]:
    """A file of settings, as compose reads it."""
    lines = (ROOT / path).read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def stages() -> dict[str, str]:
    """The Dockerfile's stages, by name."""
    parts = re.split(r"^FROM (\S+) AS (\S+)$", DOCKERFILE, flags=re.MULTILINE)[1:]
    return {name: f"FROM {base}\n{body}" for base, name, body in zip(parts[::3], parts[1::3], parts[2::3], strict=True)}


def test_each_step_waits_for_the_one_before_it() -> None:
    waits = {
        name: {other: how["condition"] for other, how in service.get("depends_on", {}).items()}
        for name, service in SERVICES.items()
        if name not in DEMO
    }
    healthy, done = "service_healthy", "service_completed_successfully"
    assert waits == {
        "postgresql": {},
        "schema": {"postgresql": healthy},
        "temporal": {"postgresql": healthy, "schema": done},
        "setup": {"postgresql": healthy, "temporal": healthy},
        "ui": {"temporal": healthy},
        "worker": {"postgresql": healthy, "temporal": healthy, "setup": done},
    }


def test_whoever_is_waited_for_can_come_to_be_so() -> None:
    for name, service in SERVICES.items():
        for other, how in service.get("depends_on", {}).items():
            if how["condition"] == "service_healthy":
                assert SERVICES[other]["healthcheck"]["test"], f"{name} waits for {other}, which tells no health"
            if how["condition"] == "service_completed_successfully":
                assert other in JOBS
    assert {name for name, service in SERVICES.items() if service["restart"] != "unless-stopped"} == JOBS


def test_no_port_is_published_but_the_ui_s_on_loopback() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert published == {"ui": ["127.0.0.1:8080:8080"]}


def test_every_image_is_pinned_to_one_release() -> None:
    images = {service["image"] for service in SERVICES.values()} | {
        base for base in re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE) if base not in stages()
    }
    assert len(images) == 7
    for image in images:
        name, _, tag = image.partition(":")
        assert re.fullmatch(r"\d+\.\d+(\.\d+)?(-[a-z]+)*", tag), image
        # A plain name, for whichever registry the host is told to use; auto-setup is no longer kept up.
        assert "." not in name and "auto-setup" not in name, image


def test_server_and_schema_are_of_one_version() -> None:
    def tag(service: str) -> str:
        return str(SERVICES[service]["image"].partition(":")[2])

    assert tag("schema") == tag("temporal") == "1.32.0"
    assert tag("worker") == tag("setup") == tag("accounts") == PROJECT["version"]


def test_the_server_heeds_fairness_keys_and_has_shards_enough() -> None:
    server = SERVICES["temporal"]
    assert server["environment"]["NUM_HISTORY_SHARDS"] == "512"
    [mount] = server["volumes"]
    folder, target, mode = mount.split(":")
    file = server["environment"]["DYNAMIC_CONFIG_FILE_PATH"].removeprefix(f"{target}/")
    assert mode == "ro"
    config = yaml.safe_load((ROOT / folder / file).read_text())
    assert config["matching.enableFairness"] == [{"value": True}]
    one_partition = [{"value": 1, "constraints": {"taskQueueName": CALLS_QUEUE}}]
    assert config["matching.numTaskqueueReadPartitions"] == one_partition
    assert config["matching.numTaskqueueWritePartitions"] == one_partition


def test_every_mounted_file_is_there_and_scripts_can_be_run() -> None:
    mounts = [mount for service in SERVICES.values() for mount in service.get("volumes", ())]
    sources = {re.sub(r"\$\{\w+:-([^}]+)\}", r"\1", mount).split(":")[0] for mount in mounts}
    volumes = {source for source in sources if not source.startswith(".")}
    assert volumes == set(COMPOSE["volumes"]) == {"database", "keys"}
    assert [source for source in sources - volumes if not (ROOT / source).exists()] == []
    scripts = list((ROOT / "deploy").rglob("*.sh"))
    # The database's image runs what is executable, and reads anything else into its own shell.
    assert len(scripts) == 2 and all(script.stat().st_mode & 0o111 for script in scripts)
    assert SERVICES["schema"]["entrypoint"] == ["sh", "/etc/retirement/schema.sh"]


def test_the_keys_are_apart_from_the_database_and_only_setup_may_write_them() -> None:
    keys = {
        name: mount
        for name, service in SERVICES.items()
        for mount in service.get("volumes", ())
        if mount.startswith("keys:")
    }
    folder = str(Path(SERVICES["worker"]["environment"]["RETIREMENT_KEYS_FILE"]).parent)
    assert keys == {"setup": f"keys:{folder}", "worker": f"keys:{folder}:ro"}
    assert f"install -d -o retirement -g retirement -m 0700 {folder}" in DOCKERFILE


def test_a_draining_worker_is_not_killed() -> None:
    durations: TypeAdapter[Any] = TypeAdapter(Duration)
    worker = SERVICES["worker"]
    drains = durations.validate_python(worker["environment"]["RETIREMENT_GRACEFUL_SHUTDOWN"])
    assert durations.validate_python(worker["stop_grace_period"]) > drains
    assert worker["init"] is True


def test_the_worker_s_health_is_asked_for_where_it_is_served() -> None:
    worker = SERVICES["worker"]
    [asked] = re.findall(r'urlopen\("http://([^/]+)(/\w+)"', worker["healthcheck"]["test"][-1])
    assert asked[0] == worker["environment"]["RETIREMENT_HEALTH_ADDRESS"]
    answer = _answer(Health(problem=None), f"GET {asked[1]} HTTP/1.1\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 200 ")
    compile(worker["healthcheck"]["test"][-1], "healthcheck", "exec")


def test_every_setting_exists_and_is_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    given = settings_in("deploy/sandbox.env") | SERVICES["worker"]["environment"]
    ours = {name: value for name, value in given.items() if name.startswith(PREFIX)}
    assert len(ours) > 5
    assert {name.removeprefix(PREFIX).lower() for name in ours} <= set(Settings.model_fields)
    for name, value in ours.items():
        monkeypatch.setenv(name, value)
    settings = Settings()
    assert settings.database_url.startswith("postgresql+psycopg://")
    assert settings.plan in Plans(ROOT / "plans", settings.plan).names()


def test_no_password_is_written_down() -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    secret = re.findall(r"^ +(\w*(?:PASSWORD|PWD)): (.*)$", text, re.MULTILINE)
    assert len(secret) >= 5
    assert [name for name, value in secret if not re.fullmatch(r"\$\{DB_\w+_PASSWORD:\?.+\}", value)] == []
    # The README makes exactly those.
    wanted = set(re.findall(r"DB_(\w+)_PASSWORD:\?", text))
    [made] = re.findall(r"for it in ([A-Z ]+);", (ROOT / "README.md").read_text())
    assert set(made.split()) == wanted


def test_the_sandbox_is_where_the_plan_looks_for_it_and_only_in_the_demo() -> None:
    environment = settings_in("deploy/sandbox.env")
    assert DEMO == {"accounts", "documents", "forum", "invoices", "newsletter", "mailbox", "people"}
    for name in DEMO:
        # Its loopback is the worker's, so nobody else reaches what does whatever it is told.
        assert SERVICES[name]["network_mode"] == "service:worker"
    for name in DEMO - {"mailbox", "people"}:
        module, port, _ = SERVICES[name]["command"]
        assert (ROOT / f"{module.replace('.', '/')}.py").exists()
        assert environment[f"{name.upper()}_URL"] == f"http://127.0.0.1:{port.removeprefix('--port=')}"
    assert f"--smtp-port={environment['RETIREMENT_SMTP_PORT']}" in SERVICES["mailbox"]["command"]
    for plan in ("sandbox", "sandbox_team"):
        named = set(re.findall(r"\$\{env:(\w+)\}", (ROOT / "plans" / f"{plan}.yaml").read_text()))
        assert named and named <= set(environment)


def test_our_containers_may_do_as_little_as_possible() -> None:
    ours = [service for service in SERVICES.values() if "build" in service]
    assert len(ours) == 9
    for service in ours:
        assert service["read_only"] and service["cap_drop"] == ["ALL"]
        assert service["build"]["target"] in stages()


def test_the_images_end_as_a_user_without_rights() -> None:
    assert list(stages())[-1] == "worker"
    assert re.search(r"^USER ([1-9]\d+):\1$", stages()["user"], re.MULTILINE)
    for target in ("worker", "sandbox"):
        assert stages()[target].startswith("FROM user\n") and "USER" not in stages()[target]


def test_the_images_install_only_what_is_pinned_with_hashes() -> None:
    instructions = re.sub(r"\\\n", " ", re.sub(r"^#.*\n", "", DOCKERFILE, flags=re.MULTILINE))
    installs = re.findall(r"pip install .*", instructions)
    assert len(installs) == 4
    for install in installs:
        own_code = install == "pip install --no-build-isolation --no-deps ."
        assert own_code or re.fullmatch(r"pip install --require-hashes -r requirements/\w+\.txt", install), install
    assert re.search(r"\b(apt|apt-get|curl|wget)\b|^ADD|\| *(ba)?sh\b", instructions, re.MULTILINE) is None


@pytest.mark.parametrize("extra", ["postgresql", "s3", "sandbox"])
def test_an_image_s_pins_are_hashed_complete_and_those_of_run(extra: str) -> None:
    lines = (ROOT / "requirements" / f"{extra}.txt").read_text().splitlines()
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        assert re.fullmatch(r"[a-z0-9._-]+==\S+( ; .+)? \\|    --hash=sha256:[0-9a-f]{64}( \\)?", line), line
        assert line.startswith(" ") or following.startswith("    --hash="), f"{line} has no hash"
    pinned = dict(re.findall(r"^([a-z0-9._-]+)==(\S+)", "\n".join(lines), re.MULTILINE))
    run = dict(re.findall(r"^([a-z0-9._-]+)==(\S+)", (ROOT / "requirements" / "run.txt").read_text(), re.MULTILINE))
    assert run and run.items() <= pinned.items()
    for requirement in map(Requirement, PROJECT["optional-dependencies"][extra]):
        assert requirement.specifier.contains(pinned[canonicalize_name(requirement.name)]), "run: make requirements"


def test_an_image_is_built_from_the_code_alone() -> None:
    """What isn't let through can't get into a layer: keys, ledgers, passwords."""
    rules = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if not line.startswith("#")]
    assert rules[0] == "*"
    allowed = {rule.removeprefix("!") for rule in rules if rule.startswith("!")}
    find = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]["find"]["include"]
    files = {PROJECT["readme"], *PROJECT["license-files"], "pyproject.toml", "requirements"}
    assert allowed == {package.removesuffix("*") for package in find} | files
    refused = [rule.removeprefix("**/") for rule in rules if rule.startswith("**/")]
    for name in (".env", "services.env", "retirement-keys.json", "keys.json", "ledger.db", "ledger.db-wal"):
        assert any(fnmatch.fnmatch(name, pattern) for pattern in refused), name
