"""Add work that outlives its retirement, or that a person does. Open cases go on unchanged."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """A table of work, a row a step; nothing in it is personal."""
    op.create_table(
        "work",
        sa.Column("retirement_id", sa.String(), nullable=False, comment="The case"),
        sa.Column("step", sa.String(), nullable=False, comment="Step id of the plan"),
        sa.Column("kind", sa.String(), nullable=False, comment="vendor or manual: who is at work"),
        sa.Column("state", sa.String(), nullable=False, comment="open, done or failed"),
        sa.Column(
            "opened_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="When the vendor accepted it, or it was left to a person",
        ),
        sa.Column(
            "next_look_at",
            sa.DateTime(timezone=True),
            comment="When the vendor is asked next; null for a person, and once ended",
        ),
        sa.Column("ended_at", sa.DateTime(timezone=True), comment="When it ended"),
        sa.Column("ended_by", sa.String(), comment="Opaque id of who said so; null where the vendor did"),
        sa.Column("code", sa.String(), comment="How the last look ended, or why it failed, as a code"),
        sa.ForeignKeyConstraint(["retirement_id"], ["cases.retirement_id"], name=op.f("fk_work_retirement_id")),
        sa.PrimaryKeyConstraint("retirement_id", "step", name=op.f("pk_work")),
    )
    op.create_index(
        "ix_work_left",
        "work",
        ["opened_at"],
        sqlite_where=sa.text("state <> 'done' AND ended_by IS NULL"),
        postgresql_where=sa.text("state <> 'done' AND ended_by IS NULL"),
    )


def downgrade() -> None:
    """There is no way back while work is open: an older release would take it for done."""
    raise NotImplementedError("an older release can't follow work that goes on; end it first (`retire work`)")
