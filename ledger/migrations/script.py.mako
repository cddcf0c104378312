"""${message}.

Name the file by its effect. Give every column a comment. It has to work on SQLite (batch) and PostgreSQL, with cases in
the tables, and while workers of the release before still run: add, fill, switch and remove are separate releases.
"""

import sqlalchemy as sa
from alembic import op
${imports if imports else ""}
revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = ${repr(branch_labels)}
depends_on = ${repr(depends_on)}


def upgrade() -> None:
    """Say what becomes possible."""
    ${upgrades if upgrades else "pass"}


def downgrade() -> None:
    """Go back, or raise and say why there is no way back."""
    ${downgrades if downgrades else "pass"}
