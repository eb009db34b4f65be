"""How far each console that is shown in a channel has got.

Revision ID: 0008
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

KEPT = {"sqlite_autoincrement": True}


def upgrade() -> None:
    """Nobody knows yet how far the consoles have got that are shown now: they begin anew once more."""
    with op.batch_alter_table("console_bridges", table_kwargs=KEPT) as bridges:
        bridges.add_column(sa.Column("last_seq", sa.BigInteger(), nullable=True))
        bridges.add_column(sa.Column("boot", sa.String(32), nullable=True))
    op.execute("UPDATE console_bridges SET boot = ''")
    with op.batch_alter_table("console_bridges", table_kwargs=KEPT) as bridges:
        bridges.alter_column("boot", existing_type=sa.String(32), nullable=False)


def downgrade() -> None:
    with op.batch_alter_table("console_bridges", table_kwargs=KEPT) as bridges:
        for name in ("last_seq", "boot"):
            bridges.drop_column(name)
