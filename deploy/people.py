"""Makes a few people known to the sandbox of the profile `demo`. Whoever has been erased is written back."""

import os

from sandbox.client import Person, SandboxService

_NAMES = ("Ada", "Bob", "Cleo", "Dan", "Eve")


def main() -> None:
    """Tell every service that keeps something about people."""
    people = [
        Person(user_id=f"u-{number}", name=name, email=f"{name.lower()}@person.example")
        for number, name in enumerate(_NAMES, start=1001)
    ]
    for service in ("ACCOUNTS", "FORUM", "INVOICES", "NEWSLETTER"):
        with SandboxService(url=os.environ[f"{service}_URL"]) as told:
            told.add_people(people)
    print("the sandbox knows", ", ".join(f"{person.name} ({person.user_id})" for person in people))


if __name__ == "__main__":
    main()
