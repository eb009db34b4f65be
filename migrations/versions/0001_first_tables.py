"""The first tables: guilds and grants, nodes, eggs, servers and their addresses, console bridges, cards, the activity log.

Revision ID: 0001
"""

import sqlalchemy as sa
from alembic import op

from core.db.types import Json, LongText, UtcDateTime

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "command_hashes",
        sa.Column("scope", sa.String(length=64), nullable=False),
        sa.Column("hash", sa.String(length=128), nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("scope", name=op.f("pk_command_hashes")),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
        mysql_engine="InnoDB",
    )
    op.create_table(
        "eggs",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("uuid", sa.String(length=36), nullable=False),
        sa.Column("name", sa.String(length=191), nullable=False),
        sa.Column("author", sa.String(length=191), nullable=False),
        sa.Column("description", LongText(), nullable=False),
        sa.Column("update_url", LongText(), nullable=True),
        sa.Column("tags", Json(), nullable=False),
        sa.Column("features", Json(), nullable=False),
        sa.Column("docker_images", Json(), nullable=False),
        sa.Column("file_denylist", Json(), nullable=False),
        sa.Column("startup", LongText(), nullable=False),
        sa.Column("config_files", Json(), nullable=False),
        sa.Column("done", Json(), nullable=False),
        sa.Column("strip_ansi", sa.Boolean(), nullable=False),
        sa.Column("stop", LongText(), nullable=False),
        sa.Column("script", LongText(), nullable=False),
        sa.Column("script_container", sa.String(length=191), nullable=False),
        sa.Column("script_entrypoint", sa.String(length=191), nullable=False),
        sa.Column("players", Json(), nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_eggs")),
        sa.UniqueConstraint("uuid", name=op.f("uq_eggs_uuid")),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
        mysql_engine="InnoDB",
    )
    op.create_table(
        "guilds",
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("name", sa.String(length=191), nullable=False),
        sa.Column("owner_id", sa.BigInteger(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_guilds")),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
        mysql_engine="InnoDB",
    )
    op.create_table(
        "nodes",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("uuid", sa.String(length=36), nullable=False),
        sa.Column("name", sa.String(length=191), nullable=False),
        sa.Column("url", sa.String(length=255), nullable=False),
        sa.Column("location", sa.String(length=60), nullable=False),
        sa.Column("token_id", sa.String(length=16), nullable=False),
        sa.Column("token_sealed", LongText(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_nodes")),
        sa.UniqueConstraint("name", name=op.f("uq_nodes_name")),
        sa.UniqueConstraint("token_id", name=op.f("uq_nodes_token_id")),
        sa.UniqueConstraint("uuid", name=op.f("uq_nodes_uuid")),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
        mysql_engine="InnoDB",
    )
    op.create_table(
        "users",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("uuid", sa.String(length=36), nullable=False),
        sa.Column("name", sa.String(length=191), nullable=False),
        sa.Column("discord_id", sa.BigInteger(), nullable=True),
        sa.Column("root_admin", sa.Boolean(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_users")),
        sa.UniqueConstraint("discord_id", name=op.f("uq_users_discord_id")),
        sa.UniqueConstraint("uuid", name=op.f("uq_users_uuid")),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
        mysql_engine="InnoDB",
    )
    op.create_table(
        "egg_variables",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("egg_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=191), nullable=False),
        sa.Column("description", LongText(), nullable=False),
        sa.Column("env_variable", sa.String(length=191), nullable=False),
        sa.Column("default_value", LongText(), nullable=False),
        sa.Column("user_viewable", sa.Boolean(), nullable=False),
        sa.Column("user_editable", sa.Boolean(), nullable=False),
        sa.Column("rules", Json(), nullable=False),
        sa.Column("sort", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["egg_id"], ["eggs.id"], name=op.f("fk_egg_variables_egg_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_egg_variables")),
        sa.UniqueConstraint("egg_id", "env_variable", name=op.f("uq_egg_variables_egg_id_env_variable")),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
        mysql_engine="InnoDB",
    )
    op.create_table(
        "servers",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("uuid", sa.String(length=36), nullable=False),
        sa.Column("short", sa.String(length=8), nullable=False),
        sa.Column("name", sa.String(length=191), nullable=False),
        sa.Column("description", LongText(), nullable=False),
        sa.Column("status", sa.String(length=32), nullable=True),
        sa.Column("guild_id", sa.BigInteger(), nullable=True),
        sa.Column("node_id", sa.Integer(), nullable=False),
        sa.Column("egg_id", sa.Integer(), nullable=False),
        sa.Column("image", sa.String(length=191), nullable=False),
        sa.Column("startup", LongText(), nullable=False),
        sa.Column("memory", sa.Integer(), nullable=False),
        sa.Column("swap", sa.Integer(), nullable=False),
        sa.Column("disk", sa.Integer(), nullable=False),
        sa.Column("io", sa.Integer(), nullable=False),
        sa.Column("cpu", sa.Integer(), nullable=False),
        sa.Column("threads", sa.String(length=191), nullable=True),
        sa.Column("oom_disabled", sa.Boolean(), nullable=False),
        sa.Column("skip_scripts", sa.Boolean(), nullable=False),
        sa.Column("installed_at", UtcDateTime(), nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["egg_id"], ["eggs.id"], name=op.f("fk_servers_egg_id")),
        sa.ForeignKeyConstraint(["guild_id"], ["guilds.id"], name=op.f("fk_servers_guild_id"), ondelete="SET NULL"),
        sa.ForeignKeyConstraint(["node_id"], ["nodes.id"], name=op.f("fk_servers_node_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_servers")),
        sa.UniqueConstraint("guild_id", "name", name=op.f("uq_servers_guild_id_name")),
        sa.UniqueConstraint("short", name=op.f("uq_servers_short")),
        sa.UniqueConstraint("uuid", name=op.f("uq_servers_uuid")),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
        mysql_engine="InnoDB",
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_servers_egg_id"), "servers", ["egg_id"], unique=False)
    op.create_index(op.f("ix_servers_guild_id"), "servers", ["guild_id"], unique=False)
    op.create_index(op.f("ix_servers_node_id"), "servers", ["node_id"], unique=False)
    op.create_table(
        "activities",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("event", sa.String(length=191), nullable=False),
        sa.Column("outcome", sa.String(length=16), nullable=False),
        sa.Column("actor_kind", sa.String(length=16), nullable=False),
        sa.Column("actor", sa.String(length=191), nullable=False),
        sa.Column("actor_name", sa.String(length=191), nullable=False),
        sa.Column("discord_id", sa.BigInteger(), nullable=True),
        sa.Column("guild_id", sa.BigInteger(), nullable=True),
        sa.Column("server_id", sa.Integer(), nullable=True),
        sa.Column("server_uuid", sa.String(length=36), nullable=True),
        sa.Column("node_id", sa.Integer(), nullable=True),
        sa.Column("origin", sa.String(length=191), nullable=False),
        sa.Column("reason", LongText(), nullable=False),
        sa.Column("metadata", Json(), nullable=False),
        sa.ForeignKeyConstraint(["server_id"], ["servers.id"], name=op.f("fk_activities_server_id"), ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_activities")),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
        mysql_engine="InnoDB",
    )
    op.create_index(op.f("ix_activities_guild_id_at"), "activities", ["guild_id", "at"], unique=False)
    op.create_index(op.f("ix_activities_server_id_at"), "activities", ["server_id", "at"], unique=False)
    op.create_table(
        "allocations",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("node_id", sa.Integer(), nullable=False),
        sa.Column("ip", sa.String(length=45), nullable=False),
        sa.Column("alias", sa.String(length=191), nullable=True),
        sa.Column("port", sa.Integer(), nullable=False),
        sa.Column("server_id", sa.Integer(), nullable=True),
        sa.Column("is_primary", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["node_id"], ["nodes.id"], name=op.f("fk_allocations_node_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["server_id"], ["servers.id"], name=op.f("fk_allocations_server_id"), ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_allocations")),
        sa.UniqueConstraint("node_id", "ip", "port", name=op.f("uq_allocations_node_id_ip_port")),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
        mysql_engine="InnoDB",
    )
    op.create_index(op.f("ix_allocations_server_id"), "allocations", ["server_id"], unique=False)
    op.create_table(
        "console_bridges",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("guild_id", sa.BigInteger(), nullable=False),
        sa.Column("channel_id", sa.BigInteger(), nullable=False),
        sa.Column("server_id", sa.Integer(), nullable=False),
        sa.Column("message_id", sa.BigInteger(), nullable=True),
        sa.Column("attached_by", sa.String(length=191), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["guild_id"], ["guilds.id"], name=op.f("fk_console_bridges_guild_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["server_id"], ["servers.id"], name=op.f("fk_console_bridges_server_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_console_bridges")),
        sa.UniqueConstraint("channel_id", "server_id", name=op.f("uq_console_bridges_channel_id_server_id")),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
        mysql_engine="InnoDB",
    )
    op.create_index(op.f("ix_console_bridges_guild_id"), "console_bridges", ["guild_id"], unique=False)
    op.create_index(op.f("ix_console_bridges_server_id"), "console_bridges", ["server_id"], unique=False)
    op.create_table(
        "grants",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("guild_id", sa.BigInteger(), nullable=False),
        sa.Column("role_id", sa.BigInteger(), nullable=True),
        sa.Column("user_id", sa.BigInteger(), nullable=True),
        sa.Column("server_id", sa.Integer(), nullable=True),
        sa.Column("preset", sa.String(length=32), nullable=False),
        sa.Column("permissions", Json(), nullable=False),
        sa.Column("granted_by", sa.String(length=191), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["guild_id"], ["guilds.id"], name=op.f("fk_grants_guild_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["server_id"], ["servers.id"], name=op.f("fk_grants_server_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_grants")),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
        mysql_engine="InnoDB",
    )
    op.create_index(op.f("ix_grants_guild_id"), "grants", ["guild_id"], unique=False)
    op.create_index(op.f("ix_grants_server_id"), "grants", ["server_id"], unique=False)
    op.create_table(
        "server_cards",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("guild_id", sa.BigInteger(), nullable=False),
        sa.Column("server_id", sa.Integer(), nullable=False),
        sa.Column("channel_id", sa.BigInteger(), nullable=False),
        sa.Column("message_id", sa.BigInteger(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["guild_id"], ["guilds.id"], name=op.f("fk_server_cards_guild_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["server_id"], ["servers.id"], name=op.f("fk_server_cards_server_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_server_cards")),
        sa.UniqueConstraint("message_id", name=op.f("uq_server_cards_message_id")),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
        mysql_engine="InnoDB",
    )
    op.create_index(op.f("ix_server_cards_guild_id"), "server_cards", ["guild_id"], unique=False)
    op.create_index(op.f("ix_server_cards_server_id"), "server_cards", ["server_id"], unique=False)
    op.create_table(
        "server_variables",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("server_id", sa.Integer(), nullable=False),
        sa.Column("egg_variable_id", sa.Integer(), nullable=False),
        sa.Column("value", LongText(), nullable=False),
        sa.ForeignKeyConstraint(
            ["egg_variable_id"], ["egg_variables.id"], name=op.f("fk_server_variables_egg_variable_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["server_id"], ["servers.id"], name=op.f("fk_server_variables_server_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_server_variables")),
        sa.UniqueConstraint("server_id", "egg_variable_id", name=op.f("uq_server_variables_server_id_egg_variable_id")),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
        mysql_engine="InnoDB",
    )
    op.create_index(op.f("ix_server_variables_egg_variable_id"), "server_variables", ["egg_variable_id"], unique=False)


def downgrade() -> None:
    op.drop_index(op.f("ix_server_variables_egg_variable_id"), table_name="server_variables")
    op.drop_table("server_variables")
    op.drop_index(op.f("ix_server_cards_server_id"), table_name="server_cards")
    op.drop_index(op.f("ix_server_cards_guild_id"), table_name="server_cards")
    op.drop_table("server_cards")
    op.drop_index(op.f("ix_grants_server_id"), table_name="grants")
    op.drop_index(op.f("ix_grants_guild_id"), table_name="grants")
    op.drop_table("grants")
    op.drop_index(op.f("ix_console_bridges_server_id"), table_name="console_bridges")
    op.drop_index(op.f("ix_console_bridges_guild_id"), table_name="console_bridges")
    op.drop_table("console_bridges")
    op.drop_index(op.f("ix_allocations_server_id"), table_name="allocations")
    op.drop_table("allocations")
    op.drop_index(op.f("ix_activities_server_id_at"), table_name="activities")
    op.drop_index(op.f("ix_activities_guild_id_at"), table_name="activities")
    op.drop_table("activities")
    op.drop_index(op.f("ix_servers_node_id"), table_name="servers")
    op.drop_index(op.f("ix_servers_guild_id"), table_name="servers")
    op.drop_index(op.f("ix_servers_egg_id"), table_name="servers")
    op.drop_table("servers")
    op.drop_table("egg_variables")
    op.drop_table("users")
    op.drop_table("nodes")
    op.drop_table("guilds")
    op.drop_table("eggs")
    op.drop_table("command_hashes")
