"""What a check finds: which kind of mistake, where, and in which words."""

from dataclasses import dataclass
from enum import StrEnum

from plans.requests import KeyPath
from plans.yaml_reading import Severity


class Check(StrEnum):
    """Every kind of mistake. Each has a bad plan of its name in the tests' gallery."""

    # The file and its shape.
    FILE = "file"
    FILE_NAME = "file-name"
    YAML = "yaml"
    UNKNOWN_FIELD = "unknown-field"
    MISSING = "missing"
    WRONG_VALUE = "wrong-value"
    PLAIN_WORD = "plain-word"
    # What names something else.
    UNKNOWN_SERVICE = "unknown-service"
    UNUSED_SERVICE = "unused-service"
    UNKNOWN_SUCCESSOR = "unknown-successor"
    UNUSED_SUCCESSOR = "unused-successor"
    UNFIT_REQUEST = "unfit-request"
    UNKNOWN_STEP = "unknown-step"
    AFTER_PHASE = "after-phase"
    AFTER_TWICE = "after-twice"
    CYCLE = "cycle"
    ACCOUNT_FIRST = "account-first"
    # What a step consists of.
    NO_ERASE = "no-erase"
    NOTHING_TO_DO = "nothing-to-do"
    RETAIN_ALONE = "retain-alone"
    WRONG_PHASE = "wrong-phase"
    FIND = "find"
    FOLLOW_UP = "follow-up"
    MANUAL = "manual"
    DEFERRABLE = "deferrable"
    NO_UNDO = "no-undo"
    UNDO_TWICE = "undo-twice"
    UNPROBED = "unprobed"
    PROBED_AND_UNPROBED = "probed-and-unprobed"
    IDENTIFIERS_UNPROBED = "identifiers-unprobed"
    SCRUB_UNPROBED = "scrub-unprobed"
    CHANGES = "changes"
    ONLY_READS = "only-reads"
    SAME_REQUEST = "same-request"
    FREEZE_DESTROYS = "freeze-destroys"
    # What the person owned, and who takes it over.
    NOBODY_TO_CHOOSE = "nobody-to-choose"
    ASSETS_ALONE = "assets-alone"
    SUCCESSOR_UNNAMED = "successor-unnamed"
    MOVED_WHERETO = "moved-whereto"
    NEVER_SETTLED = "never-settled"
    UNCOMPARED = "uncompared"
    BECOMES = "becomes"
    SQL_LIMIT = "sql-limit"
    NAME_TAKEN = "name-taken"
    # A source that keeps the row of a retirement.
    MIRROR = "mirror"
    MIRRORED = "mirrored"
    MIRROR_STATES = "mirror-states"
    MIRROR_ORDER = "mirror-order"
    MIRROR_UPDATE = "mirror-update"
    MIRROR_QUEUE = "mirror-queue"
    MIRROR_RATE = "mirror-rate"
    # Templates and expressions.
    TEMPLATE = "template"
    UNKNOWN_VALUE = "unknown-value"
    SAVED_LATER = "saved-later"
    SAVED_PERHAPS = "saved-perhaps"
    SUBJECT_PERHAPS = "subject-perhaps"
    CONSTANT = "constant"
    NO_BRACES = "no-braces"
    EVERYBODY = "everybody"
    # Requests.
    PATH = "path"
    HEADER = "header"
    GET_BODY = "get-body"
    SQL_STATEMENT = "sql-statement"
    SQL_TEMPLATE = "sql-template"
    SQL_PARAMETER = "sql-parameter"
    SQL_WHERE = "sql-where"
    SQL_LIKE = "sql-like"
    TABLE_UNPROBED = "table-unprobed"
    # Answers.
    DELETE_404 = "delete-404"
    UNPROVEN_404 = "unproven-404"
    ABSENT_CODES = "absent-codes"
    TRANSIENT_CODES = "transient-codes"
    PERMANENT_CODES = "permanent-codes"
    GONE_CODES = "gone-codes"
    CODES_OVERLAP = "codes-overlap"
    POLL = "poll"
    # Services.
    ADDRESS = "address"
    PLAIN_HTTP = "plain-http"
    REFERENCE = "reference"
    TOKEN_FORM = "token-form"  # noqa: S105 - the name of a check
    SECRET_IN_CLEAR = "secret-in-clear"  # noqa: S105 - the name of a check
    NOT_HERE = "not-here"
    # Time.
    NO_TIME = "no-time"
    HOLD_FOR = "hold-for"
    SHORT_TIME = "short-time"
    TOO_LONG = "too-long"
    TIMEOUT = "timeout"
    REMINDERS = "reminders"
    PAST_DEADLINE = "past-deadline"
    # Rules and people.
    FACT_QUEUE = "fact-queue"
    FACT_RATE = "fact-rate"
    ALSO_QUEUE = "also-queue"
    ALSO_RATE = "also-rate"
    SUCCESSOR_QUEUE = "successor-queue"
    SUCCESSOR_RATE = "successor-rate"
    UNUSED_FACT = "unused-fact"
    UNUSED_VALUE = "unused-value"
    FACT_VALUE = "fact-value"
    CODE_TWICE = "code-twice"
    MAIL_ADDRESS = "mail-address"
    NO_MAIL = "no-mail"
    NO_OPERATORS = "no-operators"
    NO_ADMINS = "no-admins"
    IDLE_ADMINS = "idle-admins"
    DEADLINE_NEAR = "deadline-near"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One mistake. `what` says what is wrong, why it matters and how to mend it; never a value of the file."""

    check: Check
    path: KeyPath
    what: str
    severity: Severity = Severity.ERROR


def error(check: Check, path: KeyPath, what: str) -> Finding:
    """Something because of which the plan can't be used."""
    return Finding(check=check, path=path, what=what)


def warning(check: Check, path: KeyPath, what: str) -> Finding:
    """Something that is likely not meant, though it may be."""
    return Finding(check=check, path=path, what=what, severity=Severity.WARNING)
