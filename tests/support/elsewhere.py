"""What others do to a person's account while it is being retired."""

from sandbox.client import Person
from sandbox.launch import Sandbox


def delete_account(sandbox: Sandbox, person: Person) -> None:
    """Somebody deletes the account by hand."""
    accounts = sandbox.accounts.http
    credentials = {
        "grant_type": "client_credentials",
        "client_id": "retirement",
        "client_secret": sandbox.environment["ACCOUNTS_CLIENT_SECRET"],
    }
    token = accounts.post("/oauth/token", data=credentials).raise_for_status().json()["access_token"]
    accounts.delete(f"/users/{person.user_id}", headers={"authorization": f"Bearer {token}"}).raise_for_status()
