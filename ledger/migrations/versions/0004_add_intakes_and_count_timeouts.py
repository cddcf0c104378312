"""Add what doors know of people beforehand, and count the tries of a step that timed out. Open cases go on unchanged."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """A table of intakes, sealed like the vault and gone when the case opens; a count on steps."""
    op.create_table(
        "intakes",
        sa.Column("subject_key", sa.String(), nullable=False, comment="Keyed hash of tenant and user id"),
        sa.Column("key_id", sa.String(), nullable=False, comment="Key of the ring that wraps the data key"),
        sa.Column("wrapped_key", sa.LargeBinary(), nullable=False, comment="The intake's data key, wrapped"),
        sa.Column("sealed", sa.LargeBinary(), nullable=False, comment="Values, encrypted under the data key"),
        sa.Column("taken_in_at", sa.DateTime(timezone=True), nullable=False, comment="When"),
        sa.PrimaryKeyConstraint("subject_key", name=op.f("pk_intakes")),
    )
    op.add_column(
        "steps",
        sa.Column(
            "timeouts",
            sa.Integer(),
            nullable=False,
            server_default="0",
            comment="Tries that timed out since the last success or resume",
        ),
    )


def downgrade() -> None:
    """There is no way back while people are taken in: an older release would not know whom it retires."""
    raise NotImplementedError("an older release can't read intakes; finish open retirements first")
