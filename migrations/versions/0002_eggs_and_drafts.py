"""What an egg file holds beside what runs, what a node may give away, and servers in the making.

Revision ID: 0002
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

from core.db.types import Json, LongText, UtcDateTime

revision = "0002"
down_revision = "0006"
branch_labels = None
depends_on = None

_OPTIONS: dict[str, Any] = {"mysql_charset": "utf8mb4", "mysql_collate": "utf8mb4_bin", "mysql_engine": "InnoDB"}


def upgrade() -> None:
    with op.batch_alter_table("eggs") as eggs:
        eggs.add_column(sa.Column("version", sa.String(length=16), nullable=False, server_default="PTDL_v2"))
        eggs.add_column(sa.Column("file_uuid", sa.String(length=36), nullable=True))
        eggs.add_column(sa.Column("startup_commands", Json(), nullable=True))
        eggs.add_column(sa.Column("logs", Json(), nullable=True))
        eggs.add_column(sa.Column("icon", LongText(), nullable=True))
    with op.batch_alter_table("eggs") as eggs:
        eggs.alter_column("version", existing_type=sa.String(length=16), existing_nullable=False, server_default=None)
    with op.batch_alter_table("nodes") as nodes:
        nodes.add_column(sa.Column("memory", sa.Integer(), nullable=False, server_default="0"))
        nodes.add_column(sa.Column("disk", sa.Integer(), nullable=False, server_default="0"))
    with op.batch_alter_table("nodes") as nodes:
        nodes.alter_column("memory", existing_type=sa.Integer(), existing_nullable=False, server_default=None)
        nodes.alter_column("disk", existing_type=sa.Integer(), existing_nullable=False, server_default=None)
    op.create_table(
        "drafts",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("code", sa.String(length=8), nullable=False),
        sa.Column("guild_id", sa.BigInteger(), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("channel_id", sa.BigInteger(), nullable=True),
        sa.Column("message_id", sa.BigInteger(), nullable=True),
        sa.Column("server_uuid", sa.String(length=36), nullable=True),
        sa.Column("order", Json(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["guild_id"], ["guilds.id"], name=op.f("fk_drafts_guild_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_drafts")),
        sa.UniqueConstraint("code", name=op.f("uq_drafts_code")),
        **_OPTIONS,
    )
    op.create_index(op.f("ix_drafts_guild_id"), "drafts", ["guild_id"], unique=False)
    op.create_index(op.f("ix_drafts_server_uuid"), "drafts", ["server_uuid"], unique=False)


def downgrade() -> None:
    op.drop_table("drafts")
    with op.batch_alter_table("nodes") as nodes:
        nodes.drop_column("disk")
        nodes.drop_column("memory")
    with op.batch_alter_table("eggs") as eggs:
        for name in ("icon", "logs", "startup_commands", "file_uuid", "version"):
            eggs.drop_column(name)
