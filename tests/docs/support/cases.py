"""Whom the cookbook's recipes meet, and what is to become of them."""

from dataclasses import dataclass, field

from tests.docs.support.company import Record


@dataclass(frozen=True, kw_only=True)
class Case:
    """A person, a recipe, and what becomes of them. `{}` in a path stands for the person's id."""

    recipe: str
    #: What the services keep before, by path.
    kept: dict[str, Record]
    #: How each step of the recipe ends.
    results: dict[str, str]
    #: What they keep afterwards.
    left: dict[str, Record] = field(default_factory=dict)
    #: Whom else the same recipe meets.
    who: str = ""

    @property
    def user_id(self) -> str:
        return "-".join(filter(None, ("u", self.recipe, self.who)))

    @property
    def email(self) -> str:
        """An address that would mean something else in a path."""
        return f"{self.user_id}+news/1@person.example"

    def records(self, given: dict[str, Record]) -> dict[str, Record]:
        """Records with this person's id and address in the paths."""
        return {path.format(self.user_id, email=self.email): dict(record) for path, record in given.items()}


_DELETED = {"name": "deleted customer", "email": None, "address": None}
CASES = [
    Case(recipe="delete-by-id", kept={"forum/authors/{}": {}}, results={"forum": "erased"}),
    Case(recipe="delete-by-id", who="stranger", kept={}, results={"forum": "absent"}),
    Case(
        recipe="anonymise",
        kept={
            "wiki/editors/{}": {"display_name": "Ada", "email": "ada@person.example", "edits": 7},
            "shop/customers/{}": {"name": "Ada", "email": "ada@person.example", "address": "1 Road", "orders": [1]},
        },
        results={"wiki": "erased", "shop": "scrubbed"},
        left={
            "wiki/editors/{}": {"display_name": "former editor", "email": None, "edits": 7},
            "shop/customers/{}": {**_DELETED, "orders": [1]},
        },
    ),
    Case(
        recipe="anonymise",
        who="without-orders",
        kept={"shop/customers/{}": {"name": "Ada", "email": "ada@person.example", "address": "1 Road", "orders": []}},
        results={"wiki": "absent", "shop": "erased"},
    ),
    Case(recipe="asynchronous-vendor", kept={"analytics/users/{}": {}}, results={"analytics": "erased"}),
    Case(
        recipe="legal-retention",
        kept={"billing/customers/{}": {"cards": ["4111"], "invoices": [1]}},
        results={"invoices": "retained", "cards": "erased"},
        left={"billing/customers/{}": {"cards": [], "invoices": [1]}},
    ),
    Case(
        recipe="e-mail-list",
        kept={"newsletter/subscribers/{email}": {}, "old_list/members/{email}": {}},
        results={"newsletter": "erased", "old-list": "erased"},
    ),
    Case(
        recipe="e-mail-list",
        who="never-subscribed",
        kept={},
        results={"newsletter": "absent", "old-list": "absent"},
    ),
    Case(recipe="sql-tables", kept={}, results={"store": "erased"}),
    Case(recipe="client-credentials", kept={"crm/contacts/{}": {}}, results={"contact": "erased"}),
    Case(recipe="rate-limit", kept={"helpdesk/requesters/{}": {}}, results={"tickets": "erased"}),
    Case(
        recipe="two-step-deletion",
        kept={"cloud/accounts/{}": {}, "backups/owners/{}": {}},
        results={"cloud_request": "done", "cloud": "erased", "backups_request": "unverified", "backups": "erased"},
    ),
    Case(recipe="ids-that-are-addresses", kept={"mailboxes/mailboxes/{email}": {}}, results={"mailbox": "erased"}),
    Case(
        recipe="the-applications-own-ids-are-addresses",
        kept={"mailboxes/mailboxes/{email}": {}},
        results={"mailbox": "erased", "person": "erased"},
    ),
    Case(
        recipe="names-for-others",
        kept={"names/addresses/{email}": {"of": "Ada"}},
        results={"username": "done", "address": "done"},
        left={"names/usernames/name-of-{}": {"state": "blocked"}},
    ),
    Case(recipe="isolated-network", kept={"payroll/staff/{}": {}}, results={"payroll": "erased"}),
    Case(recipe="python", kept={}, results={"archive": "erased"}),
]
