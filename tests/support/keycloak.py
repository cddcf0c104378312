"""A real Keycloak for the tests, and a realm of it as its administrators and its users see it."""

import asyncio
import contextlib
import secrets
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from tests.support.keycloak_distribution import distribution, environment
from tests.support.servers import Server, free_port

# Ten seconds on an idle machine; a busy one takes its time.
_READY_WITHIN = 300.0
_ADMIN = "admin"
#: All that retiring somebody takes; it lets its holder read users, too.
ROLES = ("manage-users",)


@dataclass(frozen=True, kw_only=True)
class Tokens:
    """What a login gave."""

    access: str = field(repr=False)
    refresh: str = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class User:
    """Somebody who was made known to a realm."""

    id: str
    username: str
    password: str = field(repr=False)
    email: str | None


@dataclass(frozen=True, kw_only=True)
class Realm:
    """A realm with an app that people log in to, and a client of our own that may manage users."""

    name: str
    url: str
    #: Speaks as nobody, and as the server's administrator.
    http: httpx.AsyncClient = field(repr=False)
    admin: httpx.AsyncClient = field(repr=False)
    client_secret: str = field(repr=False)
    client_id: str = "retirement"
    app: str = "app"

    @property
    def environment(self) -> dict[str, str]:
        """What a worker needs to run plans/keycloak.yaml against this realm."""
        return {
            "KEYCLOAK_URL": self.url,
            "KEYCLOAK_REALM": self.name,
            "KEYCLOAK_CLIENT_ID": self.client_id,
            "KEYCLOAK_CLIENT_SECRET": self.client_secret,
        }

    async def add_user(self, **details: Any) -> User:
        """Make up a user, with what matters overridden (Keycloak's UserRepresentation)."""
        username, password = f"ada-{secrets.token_hex(4)}", secrets.token_urlsafe(12)
        user: dict[str, Any] = {
            "username": username,
            "email": f"{username}@person.example",
            "firstName": "Ada",
            "lastName": "Lovelace",
            "emailVerified": True,
            "enabled": True,
            "credentials": [{"type": "password", "value": password, "temporary": False}],
        } | details
        answer = await self.admin.post(f"/admin/realms/{self.name}/users", json=user)
        answer.raise_for_status()
        id = answer.headers["location"].rpartition("/")[2]
        return User(id=id, username=username, password=password, email=user["email"])

    async def kept(self, user: User) -> dict[str, Any] | None:
        """All that Keycloak keeps of somebody, or None."""
        kept: dict[str, Any] | None = await self._read_or_none(f"users/{user.id}")
        return kept

    async def credentials(self, user: User) -> list[str]:
        """What somebody can log in with, by type."""
        return [entry["type"] for entry in await self._read_or_none(f"users/{user.id}/credentials") or []]

    async def delete(self, user: User) -> None:
        """Delete somebody, as an administrator does."""
        (await self.admin.delete(f"/admin/realms/{self.name}/users/{user.id}")).raise_for_status()

    @contextlib.asynccontextmanager
    async def requiring(self, attribute: str) -> AsyncIterator[None]:
        """Within this block the realm's user profile requires an attribute that nobody has."""
        profile = await self._read_or_none("users/profile")
        required = {"name": attribute, "required": {"roles": ["admin", "user"]}, "permissions": {"edit": ["admin"]}}
        await self._put("users/profile", profile | {"attributes": [*profile["attributes"], required]})
        try:
            yield
        finally:
            await self._put("users/profile", profile)

    async def log_in(self, user: User, *, scope: str = "openid") -> Tokens | None:
        """Log in as a person does, or None where that is refused."""
        return await self._tokens(grant_type="password", username=user.username, password=user.password, scope=scope)

    async def refresh(self, tokens: Tokens) -> Tokens | None:
        """Go on with a session, or None where that is refused."""
        return await self._tokens(grant_type="refresh_token", refresh_token=tokens.refresh)

    async def _read_or_none(self, path: str) -> Any:
        answer = await self.admin.get(f"/admin/realms/{self.name}/{path}")
        return None if answer.status_code == httpx.codes.NOT_FOUND else answer.raise_for_status().json()

    async def _put(self, path: str, json: Any) -> None:
        (await self.admin.put(f"/admin/realms/{self.name}/{path}", json=json)).raise_for_status()

    async def _tokens(self, **form: str) -> Tokens | None:
        form |= {"client_id": self.app}
        answer = await self.http.post(f"/realms/{self.name}/protocol/openid-connect/token", data=form)
        if answer.status_code in {400, 401}:
            return None
        body = answer.raise_for_status().json()
        return Tokens(access=body["access_token"], refresh=body["refresh_token"])


@contextlib.asynccontextmanager
async def a_realm(*, say: Callable[[str], None] = lambda _: None) -> AsyncIterator[Realm]:
    """A realm of a Keycloak with a database of its own in memory, until the block ends. `say` hears what takes long.

    Raises:
        NotHere: it can't be run on this machine.
    """
    programs = await asyncio.to_thread(distribution, say=say)
    url = f"http://127.0.0.1:{free_port()}"
    password = secrets.token_urlsafe(24)
    folder = Path(tempfile.mkdtemp(prefix="retirement-keycloak-"))
    server = Server(
        "Keycloak",
        _command(_home(folder, programs=programs), port=int(url.rpartition(":")[2])),
        log=folder / "log",
        environment=environment() | {"KC_BOOTSTRAP_ADMIN_USERNAME": _ADMIN, "KC_BOOTSTRAP_ADMIN_PASSWORD": password},
    )
    try:
        async with _client(url) as http, _client(url) as admin:
            await server.start()
            await server.ready(lambda: _answers(http), within=_READY_WITHIN)
            await _log_in_as_admin(admin, password=password)
            realm = Realm(name="people", url=url, http=http, admin=admin, client_secret=secrets.token_urlsafe(24))
            await _make(realm)
            yield realm
    finally:
        await server.stop()
        shutil.rmtree(folder)


def _home(folder: Path, *, programs: Path) -> Path:
    """A home that shares the programs: what a server writes of itself lies in its home."""
    (folder / "bin").mkdir()
    shutil.copy(programs / "bin" / "kc.sh", folder / "bin")
    for shared in ("lib", "conf", "providers", "themes", "version.txt"):
        (folder / shared).symlink_to(programs / shared)
    return folder


def _command(home: Path, *, port: int) -> tuple[str, ...]:
    options = (
        "--optimized",
        "--cache=local",
        "--http-enabled=true",
        "--http-host=127.0.0.1",
        f"--http-port={port}",
        "--hostname-strict=false",
        "--log-level=warn",
    )
    return ("sh", str(home / "bin" / "kc.sh"), "start", *options)


def _client(url: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=url, timeout=30, trust_env=False)


async def _answers(http: httpx.AsyncClient) -> bool:
    try:
        return (await http.get("/realms/master")).is_success
    except httpx.TransportError:
        return False


async def _log_in_as_admin(admin: httpx.AsyncClient, *, password: str) -> None:
    """Let this client act as the administrator, for as long as the tests run: by default a minute."""
    form = {"grant_type": "password", "client_id": "admin-cli", "username": _ADMIN, "password": password}
    for _ in range(2):
        admin.headers.pop("authorization", None)
        answer = await admin.post("/realms/master/protocol/openid-connect/token", data=form)
        admin.headers["authorization"] = f"Bearer {answer.raise_for_status().json()['access_token']}"
        longer = {"accessTokenLifespan": 86_400, "ssoSessionIdleTimeout": 86_400, "ssoSessionMaxLifespan": 86_400}
        (await admin.put("/admin/realms/master", json=longer)).raise_for_status()


async def _make(realm: Realm) -> None:
    """Make the realm, the app, and the client of our own with its roles."""
    at = f"/admin/realms/{realm.name}"

    async def send(method: str, path: str, json: Any) -> None:
        (await realm.admin.request(method, path, json=json)).raise_for_status()

    async def read(path: str) -> Any:
        return (await realm.admin.get(f"{at}/{path}")).raise_for_status().json()

    await send("POST", "/admin/realms", {"realm": realm.name, "enabled": True})
    # Lets users have attributes that the realm doesn't know of.
    profile = await read("users/profile")
    await send("PUT", f"{at}/users/profile", profile | {"unmanagedAttributePolicy": "ENABLED"})
    app = {"clientId": realm.app, "publicClient": True, "directAccessGrantsEnabled": True}
    await send("POST", f"{at}/clients", app)
    ours = {"clientId": realm.client_id, "secret": realm.client_secret, "serviceAccountsEnabled": True}
    await send("POST", f"{at}/clients", ours)
    [ours] = await read(f"clients?clientId={realm.client_id}")
    [management] = await read("clients?clientId=realm-management")
    account = await read(f"clients/{ours['id']}/service-account-user")
    roles = [await read(f"clients/{management['id']}/roles/{role}") for role in ROLES]
    await send("POST", f"{at}/users/{account['id']}/role-mappings/clients/{management['id']}", roles)
