"""Add exclusive claims: of the last two who may not both go, one goes. Open cases have none and go on unchanged.

Cases also come to say what stood in the way of those that were aborted, as of now.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """A table of claims; on each case the claims it will need, and what stood in its way."""
    op.create_table(
        "claims",
        sa.Column("claim_key", sa.String(), nullable=False, comment="Keyed hash of tenant and what is claimed"),
        sa.Column("retirement_id", sa.String(), comment="The case that holds it, if any"),
        sa.Column("version", sa.Integer(), nullable=False, comment="How often it was taken or given back so far"),
        sa.ForeignKeyConstraint(["retirement_id"], ["cases.retirement_id"], name=op.f("fk_claims_retirement_id")),
        sa.PrimaryKeyConstraint("claim_key", name=op.f("pk_claims")),
    )
    op.create_index(op.f("ix_claims_retirement_id"), "claims", ["retirement_id"])
    op.add_column(
        "cases",
        sa.Column(
            "code", sa.String(), comment="What stood in the way, as codes, where the reason alone doesn't say it"
        ),
    )
    op.add_column(
        "cases",
        sa.Column(
            "claims",
            sa.JSON(),
            comment="Claims it needs at the point of no return, and the version of each when the facts were asked",
        ),
    )


def downgrade() -> None:
    """There is no way back while a retirement may hold a claim: two last admins could both go."""
    raise NotImplementedError("an older release would not heed the claims that retirements hold; finish them first")
