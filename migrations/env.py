"""Alembic's entry: runs on the connection that core/db/migrate.py hands in; knows no address of its own."""

from alembic import context

import core.models.activity
import core.models.alert
import core.models.api_key
import core.models.backup
import core.models.draft
import core.models.guild
import core.models.user
import core.models.vote  # noqa: F401  each import adds its tables to the metadata
from core.db.model import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    transaction_per_migration=True,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
