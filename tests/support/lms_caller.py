"""Calls the stand-in LMS as a well-behaved driver does, with what matters overridden."""

from typing import Any

import httpx

from sandbox.lms.client import StandInLms

ACCOUNTS = "/api/user/v1/accounts"
FORM = "application/x-www-form-urlencoded"


class LmsCaller:
    """A driver with a token."""

    def __init__(self, lms: StandInLms) -> None:
        self.lms = lms
        self.http = httpx.Client(base_url=lms.url, timeout=5, trust_env=False)
        self.token = ""

    def fetch_token(self, **fields: str) -> httpx.Response:
        """Ask the token endpoint, and keep the token where there is one."""
        settings = self.lms.settings()
        form = {"grant_type": "client_credentials", "client_id": settings.client_id}
        form |= {"client_secret": settings.client_secret, "token_type": "jwt", **fields}
        answer = self.http.post("/oauth2/access_token", data=form)
        if answer.is_success:
            self.token = str(answer.json()["access_token"])
        return answer

    def call(self, method: str, path: str, *, json: Any = None, **headers: str | None) -> httpx.Response:
        """Any call. A header that is None is left out; `_` in the name of one stands for `-`."""
        if not self.token:
            self.fetch_token()
        wanted = {"authorization": f"JWT {self.token}", "content_type": "application/json", **headers}
        sent = {name.replace("_", "-"): value for name, value in wanted.items() if value is not None}
        request = self.http.build_request(method, path, headers=sent, json=json)
        # httpx adds a content type of its own to JSON.
        if wanted["content_type"] is None:
            request.headers.pop("content-type", None)
        return self.http.send(request)

    def status(self, username: str, **headers: str | None) -> httpx.Response:
        """L1."""
        return self.call("GET", f"{ACCOUNTS}/{username}/retirement_status/", **headers)

    def update(self, username: str, new_state: str, **more: Any) -> httpx.Response:
        """L2."""
        body = {"username": username, "new_state": new_state, "response": "because", **more}
        return self.call("PATCH", f"{ACCOUNTS}/update_retirement_status/", json=body)

    def queue(self, *pairs: tuple[str, str]) -> httpx.Response:
        """L3."""
        return self.call("GET", f"{ACCOUNTS}/retirement_queue/?{httpx.QueryParams(pairs)}")

    def post(self, path: str, json: Any = None) -> httpx.Response:
        """Any POST below the accounts of the LMS."""
        return self.call("POST", f"{ACCOUNTS}/{path}/", json=json)

    def close(self) -> None:
        """Close the connections."""
        self.http.close()
