"""People. A Discord member needs no row to use the bot; a row exists once somebody has a name of their own in Aerie."""

from sqlalchemy.orm import Mapped, mapped_column

from core.db.model import Base, Dated, Named, Numbered, Snowflake


class User(Numbered, Named, Dated, Base):
    __tablename__ = "users"

    name: Mapped[str]
    discord_id: Mapped[int | None] = mapped_column(Snowflake, unique=True)
    root_admin: Mapped[bool] = mapped_column(default=False)
