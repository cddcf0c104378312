"""Add what people own and who takes it over. Open cases own nothing that we know of, and go on unchanged."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """A table of assets, sealed like the vault and gone with it; one of who takes over; and cases that only hand over."""
    op.create_table(
        "assets",
        sa.Column("retirement_id", sa.String(), nullable=False, comment="The case"),
        sa.Column("step", sa.String(), nullable=False, comment="Step id of the plan"),
        sa.Column("asset_key", sa.String(), nullable=False, comment="Keyed hash of the asset's id"),
        sa.Column("position", sa.Integer(), nullable=False, comment="Order in which assets were found"),
        sa.Column(
            "inventory",
            sa.Integer(),
            nullable=False,
            comment="Number of the last inventory that listed it; 0 for none",
        ),
        sa.Column(
            "sealed",
            sa.LargeBinary(),
            nullable=False,
            comment="Id, type, title and fields, encrypted under the data key",
        ),
        sa.Column("result", sa.String(), comment="What became of it; null before that"),
        sa.Column("code", sa.String(), comment="Why, as a code"),
        sa.Column("lies", sa.Integer(), nullable=False, comment="How often it had to be asked for anew"),
        sa.ForeignKeyConstraint(["retirement_id"], ["vault.retirement_id"], name=op.f("fk_assets_retirement_id")),
        sa.PrimaryKeyConstraint("retirement_id", "step", "asset_key", name=op.f("pk_assets")),
    )
    op.create_index(op.f("ix_assets_retirement_id_step_position"), "assets", ["retirement_id", "step", "position"])
    op.create_table(
        "successions",
        sa.Column("retirement_id", sa.String(), nullable=False, comment="The case"),
        sa.Column("policy", sa.String(), nullable=False, comment="One of the plan's successors"),
        sa.Column("subject_key", sa.String(), nullable=False, comment="Keyed hash of the one who takes over"),
        sa.Column("chosen_at", sa.DateTime(timezone=True), nullable=False, comment="When they were found suitable"),
        sa.ForeignKeyConstraint(["retirement_id"], ["cases.retirement_id"], name=op.f("fk_successions_retirement_id")),
        sa.PrimaryKeyConstraint("retirement_id", "policy", name=op.f("pk_successions")),
    )
    op.create_index(op.f("ix_successions_subject_key"), "successions", ["subject_key"])
    op.add_column(
        "cases",
        sa.Column("kind", sa.String(), nullable=False, server_default="retirement", comment="retirement or transfer"),
    )
    if op.get_bind().dialect.name == "postgresql":  # SQLite keeps no comments
        op.alter_column("vault_fields", "field", comment="subject, saved. and a step id, successors, people")
        op.alter_column("vault_holders", "holder", comment="Who still needs the entry: run, mail, admins, recipients")
    op.drop_index("uq_cases_open_subject", "cases")
    op.create_index(
        "uq_cases_open_subject",
        "cases",
        ["subject_key", "kind"],
        unique=True,
        sqlite_where=sa.text("state <> 'closed'"),
        postgresql_where=sa.text("state <> 'closed'"),
    )


def downgrade() -> None:
    """There is no way back while a retirement may be handing over: an older release would erase without it."""
    raise NotImplementedError("an older release would erase without handing over; finish open retirements first")
