"""Makes a few people known to the sandbox of the profile `demo`. Whoever has been erased is written back."""

import os

from sandbox.client import Person, SandboxService

#: Who there is, and what they may do. All are of one org: under the plan `sandbox_team`, what Cleo owns goes to
#: an admin, and the last of the two admins has to stay.
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
        Person(
            user_id=f"u-{number}",
            name=name,
            email=f"{name.lower()}@person.example",
            roles=roles,
            documents=3 if "author" in roles else 0,
        )
        for number, (name, roles) in enumerate(_PEOPLE.items(), start=1001)
    ]
    for service in ("ACCOUNTS", "DOCUMENTS", "FORUM", "INVOICES", "NEWSLETTER"):
        with SandboxService(url=os.environ[f"{service}_URL"]) as told:
            told.add_people(people)
    named = (f"{person.name} ({person.user_id}, {' and '.join(person.roles)})" for person in people)
    print("the sandbox knows", ", ".join(named))


if __name__ == "__main__":
    main()
