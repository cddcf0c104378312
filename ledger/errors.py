"""What can go wrong with the ledger. No message ever holds a value of the person.

LedgerError
├── LedgerNotReady      migrations or keys don't check out; says what to do
├── LedgerUnavailable   the database did not answer, or refused
├── LedgerConflict      the case is not where the caller believes it to be
├── UnknownCase         there is no case of this id
├── KeysError           the key file is missing, unreadable or malformed
├── VaultMissing        the case has no vault entry (any more)
└── VaultLocked         the entry is there, its key is not in the key ring
    └── VaultDamaged    the key is there, the entry does not open with it
"""


class LedgerError(Exception):
    """Any failure of the ledger."""


class LedgerNotReady(LedgerError):
    """The database or the keys are not set up as this version needs them. The message says what to do."""


class LedgerUnavailable(LedgerError):
    """The database did not answer, or refused. Worth another try."""


class LedgerConflict(LedgerError):
    """A case can't be closed from the state it is in: two runs disagree about where it stands."""


class UnknownCase(LedgerError):
    """There is no case of this retirement id."""


class KeysError(LedgerError):
    """The key file can't be used. The message says what to do."""


class VaultMissing(LedgerError):
    """The case's vault entry is gone, so nothing can be kept in it."""


class VaultLocked(LedgerError):
    """The vault entry was written under a key that is not in the key ring."""


class VaultDamaged(VaultLocked):
    """The vault entry does not open: it was changed, or copied from another case."""
