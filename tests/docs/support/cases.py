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
    #: Whom they work for, and whom the request names to take over.
    org: str = "none"
    successor: str | None = None

    @property
    def user_id(self) -> str:
        return "-".join(filter(None, ("u", self.recipe, self.who)))

    @property
    def email(self) -> str:
        """An address that would mean something else in a path."""
        return f"{self.user_id}+news/1@person.example"

    def records(self, given: dict[str, Record], *, pseudonym: str = "") -> dict[str, Record]:
        """Records with this person's id and address in the paths, and their id or what stands for it as a value."""
        meant = {"{}": self.user_id, "{pseudonym}": pseudonym}

        def filled(record: Record) -> Record:
            return {
                name: meant.get(value, value) if isinstance(value, str) else value for name, value in record.items()
            }

        return {
            path.format(self.user_id, email=self.email, pseudonym=pseudonym): filled(record)
            for path, record in given.items()
        }


_DELETED = {"name": "deleted customer", "email": None, "address": None}
#: Who may take over in the team.
LEAD = "u-lead"
_OWNED = {"owner": "{}", "kind": "page", "title": "Notes"}
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
    Case(
        recipe="documents-go-to-a-colleague",
        org="team",
        kept={f"documents/documents/{{}}-{n}": _OWNED for n in range(5)}
        | {"documents/documents/of-lead": {"owner": LEAD}},
        results={"documents": "transferred"},
        left={f"documents/documents/{{}}-{n}": {**_OWNED, "owner": LEAD} for n in range(5)}
        | {"documents/documents/of-lead": {"owner": LEAD}},
    ),
    Case(
        recipe="documents-go-to-a-colleague",
        who="without-any",
        kept={},
        results={"documents": "absent"},
    ),
    Case(recipe="owners-in-a-database", org="team", successor=LEAD, kept={}, results={"projects": "transferred"}),
    Case(
        recipe="a-deleted-user-of-their-own",
        kept={f"boards/boards/{{}}-{n}": {"owner": "{}"} for n in range(3)},
        results={"ghost": "done", "boards": "transferred"},
        left={f"boards/boards/{{}}-{n}": {"owner": "{pseudonym}"} for n in range(3)}
        | {"boards/members/{pseudonym}": {"name": "deleted user", "can_log_in": False}},
    ),
    Case(
        recipe="keep-with-the-name-replaced",
        kept={
            f"blog/comments/{{}}-{n}": {
                "author": "{}",
                "author_name": "Ada",
                "author_email": "ada@person.example",
                "n": n,
            }
            for n in range(3)
        },
        results={"comments": "transferred"},
        left={
            f"blog/comments/{{}}-{n}": {"author": "{}", "author_name": "{pseudonym}", "author_email": None, "n": n}
            for n in range(3)
        },
    ),
    Case(
        recipe="delete-what-they-owned",
        kept={f"storage/files/{{}}-{n}": _OWNED for n in range(3)},
        results={"files": "transferred"},
    ),
    Case(
        recipe="reassign-on-delete",
        org="team",
        kept={"sales/agents/{}": {}, "sales/customers/{}-1": {"agent": "{}"}},
        results={"agent": "erased"},
        left={"sales/customers/{}-1": {"agent": LEAD}},
    ),
    Case(recipe="isolated-network", kept={"payroll/staff/{}": {}}, results={"payroll": "erased"}),
    Case(recipe="python", kept={}, results={"archive": "erased"}),
]
