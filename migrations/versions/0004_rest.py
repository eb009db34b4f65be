"""REST: API keys, locations, nests, what programs keep of users and servers.

Revision ID: 0004
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

from core.clock import SystemClock
from core.db.types import Json, LongText, UtcDateTime

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

OPTIONS: dict[str, Any] = {"mysql_charset": "utf8mb4", "mysql_collate": "utf8mb4_bin", "mysql_engine": "InnoDB"}
FIRST_NEST = "0d5a1f52-6c1b-4a4e-9b9b-2f3a4c5d6e7f"


def upgrade() -> None:
    now = SystemClock().now()
    op.create_table(
        "api_keys",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("identifier", sa.String(length=16), nullable=False),
        sa.Column("secret_hash", sa.String(length=64), nullable=False),
        sa.Column("memo", LongText(), nullable=False),
        sa.Column("allowed_ips", Json(), nullable=False),
        sa.Column("rights", Json(), nullable=False),
        sa.Column("last_used_at", UtcDateTime(), nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_api_keys_user_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_keys")),
        sa.UniqueConstraint("identifier", name=op.f("uq_api_keys_identifier")),
        **OPTIONS,
    )
    op.create_index(op.f("ix_api_keys_user_id"), "api_keys", ["user_id"], unique=False)
    _locations(now)
    _nests(now)
    with op.batch_alter_table("users") as users:
        users.add_column(sa.Column("external_id", sa.String(length=191), nullable=True))
        users.add_column(sa.Column("first_name", sa.String(length=191), nullable=True))
        users.add_column(sa.Column("last_name", sa.String(length=191), nullable=True))
        users.add_column(sa.Column("language", sa.String(length=8), nullable=True))
        users.add_column(sa.Column("updated_at", UtcDateTime(), nullable=True))
    op.execute("UPDATE users SET first_name = '', last_name = '', language = 'en'")
    with op.batch_alter_table("users") as users:
        users.alter_column("first_name", existing_type=sa.String(length=191), nullable=False)
        users.alter_column("last_name", existing_type=sa.String(length=191), nullable=False)
        users.alter_column("language", existing_type=sa.String(length=8), nullable=False)
        users.create_unique_constraint(op.f("uq_users_external_id"), ["external_id"])
    _nodes()
    _servers()


def _locations(now: object) -> None:
    locations = op.create_table(
        "locations",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("short", sa.String(length=60), nullable=False),
        sa.Column("long", sa.String(length=191), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_locations")),
        sa.UniqueConstraint("short", name=op.f("uq_locations_short")),
        **OPTIONS,
    )
    nodes = sa.table("nodes", sa.column("location", sa.String))
    known = {short for (short,) in op.get_bind().execute(sa.select(nodes.c.location).distinct())}
    op.bulk_insert(locations, [{"short": short, "long": "", "created_at": now} for short in sorted(known | {"local"})])


def _nests(now: object) -> None:
    nests = op.create_table(
        "nests",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("uuid", sa.String(length=36), nullable=False),
        sa.Column("name", sa.String(length=191), nullable=False),
        sa.Column("author", sa.String(length=191), nullable=False),
        sa.Column("description", LongText(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_nests")),
        sa.UniqueConstraint("uuid", name=op.f("uq_nests_uuid")),
        **OPTIONS,
    )
    first = {"id": 1, "uuid": FIRST_NEST, "name": "Aerie", "author": "aerie", "description": "Every imported egg.", "created_at": now}
    op.bulk_insert(nests, [first])
    with op.batch_alter_table("eggs") as eggs:
        eggs.add_column(sa.Column("nest_id", sa.Integer(), nullable=True))
    op.execute("UPDATE eggs SET nest_id = 1")
    with op.batch_alter_table("eggs") as eggs:
        eggs.alter_column("nest_id", existing_type=sa.Integer(), nullable=False)
        eggs.create_foreign_key(op.f("fk_eggs_nest_id"), "nests", ["nest_id"], ["id"])
        eggs.create_index(op.f("ix_eggs_nest_id"), ["nest_id"], unique=False)


def _nodes() -> None:
    numbers = {"memory_overallocate": 0, "disk_overallocate": 0, "upload_size": 100}
    flags = {"public": True, "maintenance": False, "behind_proxy": False}
    texts = {"description": (LongText(), ""), "base_directory": (sa.String(length=191), "/var/lib/aerie/volumes")}
    columns: dict[str, tuple[Any, Any]] = {
        **{name: (sa.Integer(), value) for name, value in numbers.items()},
        **{name: (sa.Boolean(), value) for name, value in flags.items()},
        **texts,
    }
    with op.batch_alter_table("nodes") as nodes:
        for name, (kind, _) in columns.items():
            nodes.add_column(sa.Column(name, kind, nullable=True))
        nodes.add_column(sa.Column("updated_at", UtcDateTime(), nullable=True))
    table = sa.table("nodes", *(sa.column(name, kind) for name, (kind, _) in columns.items()))
    op.execute(sa.update(table).values({name: value for name, (_, value) in columns.items()}))
    with op.batch_alter_table("nodes") as nodes:
        for name, (kind, _) in columns.items():
            nodes.alter_column(name, existing_type=kind, nullable=False)


def _servers() -> None:
    limits = ("database_limit", "allocation_limit", "backup_limit")
    with op.batch_alter_table("servers", table_kwargs={"sqlite_autoincrement": True}) as servers:
        servers.add_column(sa.Column("external_id", sa.String(length=191), nullable=True))
        servers.add_column(sa.Column("owner_id", sa.Integer(), nullable=True))
        for limit in limits:
            servers.add_column(sa.Column(limit, sa.Integer(), nullable=True))
    op.execute("UPDATE servers SET database_limit = 0, allocation_limit = 0, backup_limit = 0")
    with op.batch_alter_table("servers", table_kwargs={"sqlite_autoincrement": True}) as servers:
        for limit in limits:
            servers.alter_column(limit, existing_type=sa.Integer(), nullable=False)
        servers.create_unique_constraint(op.f("uq_servers_external_id"), ["external_id"])
        servers.create_foreign_key(op.f("fk_servers_owner_id"), "users", ["owner_id"], ["id"], ondelete="SET NULL")
        servers.create_index(op.f("ix_servers_owner_id"), ["owner_id"], unique=False)
    with op.batch_alter_table("allocations") as allocations:
        allocations.add_column(sa.Column("notes", sa.String(length=256), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("allocations") as allocations:
        allocations.drop_column("notes")
    with op.batch_alter_table("servers", table_kwargs={"sqlite_autoincrement": True}) as servers:
        servers.drop_constraint(op.f("fk_servers_owner_id"), type_="foreignkey")
        servers.drop_index(op.f("ix_servers_owner_id"))
        servers.drop_constraint(op.f("uq_servers_external_id"), type_="unique")
        for column in ("external_id", "owner_id", "database_limit", "allocation_limit", "backup_limit"):
            servers.drop_column(column)
    with op.batch_alter_table("nodes") as nodes:
        for column in (
            "updated_at",
            "base_directory",
            "description",
            "behind_proxy",
            "maintenance",
            "public",
            "upload_size",
            "disk_overallocate",
            "memory_overallocate",
        ):
            nodes.drop_column(column)
    with op.batch_alter_table("users") as users:
        users.drop_constraint(op.f("uq_users_external_id"), type_="unique")
        for column in ("updated_at", "language", "last_name", "first_name", "external_id"):
            users.drop_column(column)
    with op.batch_alter_table("eggs") as eggs:
        eggs.drop_constraint(op.f("fk_eggs_nest_id"), type_="foreignkey")
        eggs.drop_index(op.f("ix_eggs_nest_id"))
        eggs.drop_column("nest_id")
    op.drop_table("nests")
    op.drop_table("locations")
    op.drop_table("api_keys")
