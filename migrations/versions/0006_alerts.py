"""Alerts: sources, the alerts themselves, who is called, what is silenced.

Revision ID: 0006
"""

import sqlalchemy as sa
from alembic import op

from core.db.types import Json, LongText, UtcDateTime

revision = "0006"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "alert_mentions",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("guild_id", sa.BigInteger(), nullable=False),
        sa.Column("severity", sa.String(length=16), nullable=False),
        sa.Column("role_id", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["guild_id"], ["guilds.id"], name=op.f("fk_alert_mentions_guild_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alert_mentions")),
        sa.UniqueConstraint("guild_id", "severity", name=op.f("uq_alert_mentions_guild_id_severity")),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
        mysql_engine="InnoDB",
    )
    op.create_table(
        "alert_sources",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("guild_id", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("own", sa.Boolean(), nullable=False),
        sa.Column("channel_id", sa.BigInteger(), nullable=True),
        sa.Column("token_hash", sa.String(length=64), nullable=True),
        sa.Column("signing_sealed", LongText(), nullable=True),
        sa.Column("created_by", sa.String(length=191), nullable=False),
        sa.Column("creator_id", sa.BigInteger(), nullable=True),
        sa.Column("last_at", UtcDateTime(), nullable=True),
        sa.Column("broken", sa.String(length=191), nullable=False),
        sa.Column("broken_at", UtcDateTime(), nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["guild_id"], ["guilds.id"], name=op.f("fk_alert_sources_guild_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alert_sources")),
        sa.UniqueConstraint("guild_id", "name", name=op.f("uq_alert_sources_guild_id_name")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_alert_sources_token_hash")),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
        mysql_engine="InnoDB",
    )
    op.create_table(
        "alerts",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("source_id", sa.Integer(), nullable=False),
        sa.Column("guild_id", sa.BigInteger(), nullable=False),
        sa.Column("fingerprint", sa.String(length=32), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("severity", sa.String(length=16), nullable=False),
        sa.Column("title", LongText(), nullable=False),
        sa.Column("text", LongText(), nullable=False),
        sa.Column("value", sa.String(length=191), nullable=False),
        sa.Column("url", LongText(), nullable=False),
        sa.Column("labels", Json(), nullable=False),
        sa.Column("occurrence", sa.String(length=191), nullable=False),
        sa.Column("started_at", UtcDateTime(), nullable=False),
        sa.Column("last_at", UtcDateTime(), nullable=False),
        sa.Column("resolved_at", UtcDateTime(), nullable=True),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("episodes", sa.Integer(), nullable=False),
        sa.Column("acknowledged_by", sa.BigInteger(), nullable=True),
        sa.Column("acknowledged_at", UtcDateTime(), nullable=True),
        sa.Column("channel_id", sa.BigInteger(), nullable=True),
        sa.Column("message_id", sa.BigInteger(), nullable=True),
        sa.Column("message_at", UtcDateTime(), nullable=True),
        sa.Column("digest", sa.Boolean(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("shown", sa.Integer(), nullable=False),
        sa.Column("behind", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["guild_id"], ["guilds.id"], name=op.f("fk_alerts_guild_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["source_id"], ["alert_sources.id"], name=op.f("fk_alerts_source_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alerts")),
        sa.UniqueConstraint("source_id", "fingerprint", name=op.f("uq_alerts_source_id_fingerprint")),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
        mysql_engine="InnoDB",
    )
    op.create_index(op.f("ix_alerts_behind"), "alerts", ["behind"], unique=False)
    op.create_index(op.f("ix_alerts_guild_id_last_at"), "alerts", ["guild_id", "last_at"], unique=False)
    op.create_index(op.f("ix_alerts_message_id"), "alerts", ["message_id"], unique=False)
    op.create_table(
        "alert_silences",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("guild_id", sa.BigInteger(), nullable=False),
        sa.Column("source_id", sa.Integer(), nullable=True),
        sa.Column("alert_id", sa.Integer(), nullable=True),
        sa.Column("until", UtcDateTime(), nullable=False),
        sa.Column("created_by", sa.String(length=191), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["alert_id"], ["alerts.id"], name=op.f("fk_alert_silences_alert_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["guild_id"], ["guilds.id"], name=op.f("fk_alert_silences_guild_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["source_id"], ["alert_sources.id"], name=op.f("fk_alert_silences_source_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alert_silences")),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
        mysql_engine="InnoDB",
    )
    op.create_index(op.f("ix_alert_silences_alert_id"), "alert_silences", ["alert_id"], unique=False)
    op.create_index(op.f("ix_alert_silences_guild_id"), "alert_silences", ["guild_id"], unique=False)
    op.create_index(op.f("ix_alert_silences_source_id"), "alert_silences", ["source_id"], unique=False)


def downgrade() -> None:
    op.drop_index(op.f("ix_alert_silences_source_id"), table_name="alert_silences")
    op.drop_index(op.f("ix_alert_silences_guild_id"), table_name="alert_silences")
    op.drop_index(op.f("ix_alert_silences_alert_id"), table_name="alert_silences")
    op.drop_table("alert_silences")
    op.drop_index(op.f("ix_alerts_message_id"), table_name="alerts")
    op.drop_index(op.f("ix_alerts_guild_id_last_at"), table_name="alerts")
    op.drop_index(op.f("ix_alerts_behind"), table_name="alerts")
    op.drop_table("alerts")
    op.drop_table("alert_sources")
    op.drop_table("alert_mentions")
