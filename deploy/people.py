"""Makes a few people known to the sandbox of the profile `demo`. Whoever has been erased is written back."""

import os

from sandbox.client import Person, SandboxService

#: Who there is, and what they may do: the last admin of an org has to stay, where the plan says so.
_PEOPLE = {
    "Ada": ("member", "admin"),
    "Bob": ("member", "admin"),
    "Cleo": ("member", "author"),
    "Dan": ("member",),
    "Eve": ("member",),
}


def main() -> None:
    """Tell every service that keeps something about people."""
    people = [
        Person(user_id=f"u-{number}", name=name, email=f"{name.lower()}@person.example", roles=roles, documents=3)
        for number, (name, roles) in enumerate(_PEOPLE.items(), start=1001)
    ]
    for service in ("ACCOUNTS", "DOCUMENTS", "FORUM", "INVOICES", "NEWSLETTER"):
        with SandboxService(url=os.environ[f"{service}_URL"]) as told:
            told.add_people(people)
    print("the sandbox knows", ", ".join(f"{person.name} ({person.user_id})" for person in people))


if __name__ == "__main__":
    main()
