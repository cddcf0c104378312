"""Add what operators' work must remember until it is finished. Open cases go on unchanged."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """A table of jobs, sealed like the vault; what one knows goes when it is finished."""
    op.create_table(
        "jobs",
        sa.Column("id", sa.String(), nullable=False, comment="Opaque id"),
        sa.Column("number", sa.Integer(), nullable=False, comment="Order in which jobs were opened"),
        sa.Column("site", sa.String(), nullable=False, comment="Whose work it is"),
        sa.Column("kind", sa.String(), nullable=False, comment="archive, partner_report, certificates or usernames"),
        sa.Column("key", sa.String(), nullable=False, comment="What it is about: a batch's number, a certificate's id"),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, comment="When it was opened"),
        sa.Column("ended_at", sa.DateTime(timezone=True), comment="When it was finished; null while it is open"),
        sa.Column("key_id", sa.String(), comment="Key of the ring that wraps the data key; null once finished"),
        sa.Column("wrapped_key", sa.LargeBinary(), comment="The job's data key, wrapped; null once finished"),
        sa.Column(
            "sealed", sa.LargeBinary(), comment="What it knows, encrypted under the data key; null once finished"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_jobs")),
    )
    op.create_index(
        "uq_jobs_open_key",
        "jobs",
        ["site", "kind", "key"],
        unique=True,
        sqlite_where=sa.text("ended_at IS NULL"),
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    op.create_index(op.f("ix_jobs_site_kind_created_at"), "jobs", ["site", "kind", "created_at"])


def downgrade() -> None:
    """There is no way back while work is unfinished: an older release would forget whom it concerns."""
    raise NotImplementedError("an older release can't finish operators' work that has begun; finish it first")
