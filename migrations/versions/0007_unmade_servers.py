"""Servers whose node was away when they were made.

Revision ID: 0007
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0005"
branch_labels = None
depends_on = None

COLUMNS = ("waits_for_node", "start_when_made")
KEPT = {"sqlite_autoincrement": True}


def upgrade() -> None:
    """The servers that are there count as taken: `remind` asks their nodes while they are being installed."""
    with op.batch_alter_table("servers", table_kwargs=KEPT) as servers:
        for name in COLUMNS:
            servers.add_column(sa.Column(name, sa.Boolean(), nullable=True))
    op.execute(f"UPDATE servers SET {', '.join(f'{name} = 0' for name in COLUMNS)}")  # noqa: S608
    with op.batch_alter_table("servers", table_kwargs=KEPT) as servers:
        for name in COLUMNS:
            servers.alter_column(name, existing_type=sa.Boolean(), nullable=False)


def downgrade() -> None:
    with op.batch_alter_table("servers", table_kwargs=KEPT) as servers:
        for name in COLUMNS:
            servers.drop_column(name)
