"""Backups; servers that were made from Discord may have five.

Revision ID: 0009
"""

import sqlalchemy as sa
from alembic import op

from core.db.types import LongText, UtcDateTime

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "backups",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("uuid", sa.String(36), nullable=False),
        sa.Column("server_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(191), nullable=False),
        sa.Column("ignored", LongText(), nullable=False),
        sa.Column("adapter", sa.String(16), nullable=False),
        sa.Column("checksum", sa.String(191), nullable=True),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("successful", sa.Boolean(), nullable=False),
        sa.Column("locked", sa.Boolean(), nullable=False),
        sa.Column("made_by", sa.String(191), nullable=False),
        sa.Column("completed_at", UtcDateTime(), nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["server_id"], ["servers.id"], name=op.f("fk_backups_server_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_backups")),
        sa.UniqueConstraint("uuid", name=op.f("uq_backups_uuid")),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
        mysql_engine="InnoDB",
    )
    op.create_index(op.f("ix_backups_server_id"), "backups", ["server_id"])
    op.execute("UPDATE servers SET backup_limit = 5 WHERE backup_limit = 0 AND owner_id IS NULL")


def downgrade() -> None:
    op.drop_table("backups")
