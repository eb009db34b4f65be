"""Keys to the REST APIs. Only a hash of the secret is kept, so nobody can read a key out of the database."""

from datetime import datetime

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column, relationship

from core.db.model import Base, Dated, Numbered
from core.db.types import Json, LongText
from core.models.user import User


class ApiKey(Numbered, Dated, Base):
    __tablename__ = "api_keys"

    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    kind: Mapped[str] = mapped_column(String(16))
    """A core.vocabulary.KeyKind."""
    identifier: Mapped[str] = mapped_column(String(16), unique=True)
    """The first 16 characters of the key, prefix included: how lists and logs name it."""
    secret_hash: Mapped[str] = mapped_column(String(64))
    """SHA-256 of the other 32 characters, which are random, so that no slow hash is needed."""
    memo: Mapped[str] = mapped_column(LongText, default="")
    allowed_ips: Mapped[list[str]] = mapped_column(default=list)
    """Addresses and networks it may be used from; none means any."""
    rights: Mapped[dict[str, int]] = mapped_column(Json, default=dict)
    """Of an application key: resource (core.vocabulary.Resource) to 0 none, 1 read, 2 write, 3 both."""
    last_used_at: Mapped[datetime | None]

    user: Mapped[User] = relationship(lazy="raise")
