"""The ledger: the record of every retirement. Cases, steps, messages, mails, plans, and the vault of what is personal.

Temporal is the engine, the ledger is the record: `list`, `report` and a resume read it when the history is long gone.
"""

from ledger.errors import (
    KeysError,
    LedgerConflict,
    LedgerError,
    LedgerNotReady,
    LedgerUnavailable,
    UnknownCase,
    VaultDamaged,
    VaultLocked,
    VaultMissing,
)
from ledger.keys import Keys
from ledger.ledger import Ledger
from ledger.rows import (
    Case,
    CaseOpening,
    CaseState,
    MailRow,
    Resume,
    StepAction,
    StepRow,
    StepStart,
    StoredPlan,
    Transactions,
    VaultValues,
)

__all__ = [
    "Case",
    "CaseOpening",
    "CaseState",
    "Keys",
    "KeysError",
    "Ledger",
    "LedgerConflict",
    "LedgerError",
    "LedgerNotReady",
    "LedgerUnavailable",
    "MailRow",
    "Resume",
    "StepAction",
    "StepRow",
    "StepStart",
    "StoredPlan",
    "Transactions",
    "UnknownCase",
    "VaultDamaged",
    "VaultLocked",
    "VaultMissing",
    "VaultValues",
]
