"""Restart requests: the rules they stand under, the requests and their votes.

Revision ID: 0005
"""

import sqlalchemy as sa
from alembic import op

from core.db.types import Json, LongText, UtcDateTime

revision = "0005"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "request_policies",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("guild_id", sa.BigInteger(), nullable=False),
        sa.Column("scope", sa.String(length=32), nullable=False),
        sa.Column("egg_id", sa.Integer(), nullable=True),
        sa.Column("server_id", sa.Integer(), nullable=True),
        sa.Column("enabled", sa.Boolean(), nullable=True),
        sa.Column("quorum", sa.Integer(), nullable=True),
        sa.Column("duration", sa.Integer(), nullable=True),
        sa.Column("cooldown", sa.Integer(), nullable=True),
        sa.Column("countdown", Json(), nullable=True),
        sa.Column("command", LongText(), nullable=True),
        sa.Column("channel_id", sa.BigInteger(), nullable=True),
        sa.Column("when_offline", sa.String(length=8), nullable=True),
        sa.Column("patience", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(["egg_id"], ["eggs.id"], name=op.f("fk_request_policies_egg_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["guild_id"], ["guilds.id"], name=op.f("fk_request_policies_guild_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["server_id"], ["servers.id"], name=op.f("fk_request_policies_server_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_request_policies")),
        sa.UniqueConstraint("guild_id", "scope", name=op.f("uq_request_policies_guild_id_scope")),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
        mysql_engine="InnoDB",
    )
    op.create_index(op.f("ix_request_policies_egg_id"), "request_policies", ["egg_id"], unique=False)
    op.create_index(op.f("ix_request_policies_server_id"), "request_policies", ["server_id"], unique=False)
    op.create_table(
        "requests",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("guild_id", sa.BigInteger(), nullable=False),
        sa.Column("server_id", sa.Integer(), nullable=True),
        sa.Column("server_uuid", sa.String(length=36), nullable=False),
        sa.Column("server_name", sa.String(length=191), nullable=False),
        sa.Column("open_for", sa.Integer(), nullable=True),
        sa.Column("asker_id", sa.BigInteger(), nullable=False),
        sa.Column("asker_name", sa.String(length=191), nullable=False),
        sa.Column("reason", LongText(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("quorum", sa.Integer(), nullable=False),
        sa.Column("ends_at", UtcDateTime(), nullable=False),
        sa.Column("countdown", Json(), nullable=False),
        sa.Column("command", LongText(), nullable=False),
        sa.Column("when_offline", sa.String(length=8), nullable=False),
        sa.Column("patience", sa.Integer(), nullable=False),
        sa.Column("decided_by", sa.BigInteger(), nullable=True),
        sa.Column("decided_name", sa.String(length=191), nullable=False),
        sa.Column("restart_at", UtcDateTime(), nullable=True),
        sa.Column("warned", sa.Integer(), nullable=True),
        sa.Column("call_off", sa.Boolean(), nullable=False),
        sa.Column("signal", sa.String(length=16), nullable=False),
        sa.Column("signal_id", sa.String(length=64), nullable=False),
        sa.Column("sending_at", UtcDateTime(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("looked_at", UtcDateTime(), nullable=True),
        sa.Column("stuck_since", UtcDateTime(), nullable=True),
        sa.Column("stuck_why", LongText(), nullable=False),
        sa.Column("finished_at", UtcDateTime(), nullable=True),
        sa.Column("took", sa.Integer(), nullable=True),
        sa.Column("outcome", LongText(), nullable=False),
        sa.Column("channel_id", sa.BigInteger(), nullable=True),
        sa.Column("asked_in", sa.BigInteger(), nullable=True),
        sa.Column("message_id", sa.BigInteger(), nullable=True),
        sa.Column("posts", sa.Integer(), nullable=False),
        sa.Column("shown", sa.Integer(), nullable=False),
        sa.Column("worker", sa.String(length=36), nullable=True),
        sa.Column("worker_until", UtcDateTime(), nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["guild_id"], ["guilds.id"], name=op.f("fk_requests_guild_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["server_id"], ["servers.id"], name=op.f("fk_requests_server_id"), ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_requests")),
        sa.UniqueConstraint("open_for", name=op.f("uq_requests_open_for")),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
        mysql_engine="InnoDB",
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_requests_finished_at"), "requests", ["finished_at"], unique=False)
    op.create_index(op.f("ix_requests_guild_id"), "requests", ["guild_id"], unique=False)
    op.create_index(op.f("ix_requests_server_id_finished_at"), "requests", ["server_id", "finished_at"], unique=False)
    op.create_table(
        "ballots",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("request_id", sa.Integer(), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("user_name", sa.String(length=191), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["request_id"], ["requests.id"], name=op.f("fk_ballots_request_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ballots")),
        sa.UniqueConstraint("request_id", "user_id", name=op.f("uq_ballots_request_id_user_id")),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
        mysql_engine="InnoDB",
    )


def downgrade() -> None:
    op.drop_table("ballots")
    op.drop_table("requests")
    op.drop_table("request_policies")
