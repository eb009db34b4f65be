"""Accounts: names and passwords to sign in with, SSH keys, what Discord said of members, sessions to be ended, activity told twice.

Revision ID: 0003
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

from core.db.types import Json, LongText, UtcDateTime

revision = "0003"
down_revision = "0001"
branch_labels = None
depends_on = None

OPTIONS: dict[str, Any] = {"mysql_charset": "utf8mb4", "mysql_collate": "utf8mb4_bin", "mysql_engine": "InnoDB"}


def upgrade() -> None:
    with op.batch_alter_table("users") as users:
        users.add_column(sa.Column("username", sa.String(length=64), nullable=True))
        users.add_column(sa.Column("email", sa.String(length=191), nullable=True))
        users.add_column(sa.Column("password_hash", sa.String(length=255), nullable=True))
        users.add_column(sa.Column("password_at", UtcDateTime(), nullable=True))
        users.add_column(sa.Column("password_version", sa.Integer(), nullable=True))
    table = sa.table("users", sa.column("id", sa.Integer), sa.column("username", sa.String), sa.column("password_version", sa.Integer))
    bind = op.get_bind()
    for (number,) in bind.execute(sa.select(table.c.id)).all():
        bind.execute(sa.update(table).where(table.c.id == number).values(username=f"user-{number}", password_version=0))
    with op.batch_alter_table("users") as users:
        users.alter_column("username", existing_type=sa.String(length=64), nullable=False)
        users.alter_column("password_version", existing_type=sa.Integer(), nullable=False)
        users.create_unique_constraint(op.f("uq_users_username"), ["username"])
    with op.batch_alter_table("activities") as activities:
        activities.add_column(sa.Column("digest", sa.String(length=64), nullable=True))
        activities.create_unique_constraint(op.f("uq_activities_digest"), ["digest"])
    with op.batch_alter_table("nodes") as nodes:
        nodes.add_column(sa.Column("sftp_host", sa.String(length=191), nullable=True))
        nodes.add_column(sa.Column("sftp_port", sa.Integer(), nullable=True))
    op.execute("UPDATE nodes SET sftp_port = 2022")
    with op.batch_alter_table("nodes") as nodes:
        nodes.alter_column("sftp_port", existing_type=sa.Integer(), nullable=False)
    op.create_table(
        "ssh_keys",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=191), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("public_key", LongText(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_ssh_keys_user_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ssh_keys")),
        sa.UniqueConstraint("user_id", "fingerprint", name=op.f("uq_ssh_keys_user_id_fingerprint")),
        **OPTIONS,
    )
    op.create_table(
        "members",
        sa.Column("guild_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("discord_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("name", sa.String(length=191), nullable=False),
        sa.Column("roles", Json(), nullable=False),
        sa.Column("admin", sa.Boolean(), nullable=False),
        sa.Column("seen_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("guild_id", "discord_id", name=op.f("pk_members")),
        **OPTIONS,
    )
    op.create_table(
        "farewells",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("node_id", sa.Integer(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("user_uuid", sa.String(length=36), nullable=False),
        sa.Column("servers", Json(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["node_id"], ["nodes.id"], name=op.f("fk_farewells_node_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_farewells")),
        **OPTIONS,
    )
    op.create_index(op.f("ix_farewells_node_id"), "farewells", ["node_id"], unique=False)


def downgrade() -> None:
    op.drop_table("farewells")
    op.drop_table("members")
    op.drop_table("ssh_keys")
    with op.batch_alter_table("nodes") as nodes:
        nodes.drop_column("sftp_port")
        nodes.drop_column("sftp_host")
    with op.batch_alter_table("activities") as activities:
        activities.drop_constraint(op.f("uq_activities_digest"), type_="unique")
        activities.drop_column("digest")
    with op.batch_alter_table("users") as users:
        users.drop_constraint(op.f("uq_users_username"), type_="unique")
        for column in ("password_version", "password_at", "password_hash", "email", "username"):
            users.drop_column(column)
