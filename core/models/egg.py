"""Templates of games: images, start command, variables, rewrites of config files, install script."""

from typing import Any

from sqlalchemy import ForeignKey, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from core.db.model import OPTIONS, Base, Dated, Named, Numbered
from core.db.types import Json, LongText

FIRST_NEST = 1
"""The nest that every installation has, and that eggs lie in unless they are put elsewhere."""


class Nest(Numbered, Named, Dated, Base):
    """A shelf of eggs; REST knows eggs by their nest."""

    __tablename__ = "nests"

    name: Mapped[str]
    author: Mapped[str] = mapped_column(default="")
    description: Mapped[str] = mapped_column(LongText, default="")


class Egg(Numbered, Named, Dated, Base):
    __tablename__ = "eggs"

    nest_id: Mapped[int] = mapped_column(ForeignKey("nests.id"), index=True, default=FIRST_NEST)
    version: Mapped[str] = mapped_column(String(16), default="PTDL_v2")
    """The format it came in (core.protocol.egg.VERSIONS)."""
    file_uuid: Mapped[str | None] = mapped_column(String(36))
    """The uuid its file gives it: what a newer file is known by. Not unique in the wild."""
    name: Mapped[str]
    author: Mapped[str] = mapped_column(default="")
    description: Mapped[str] = mapped_column(LongText, default="")
    update_url: Mapped[str | None] = mapped_column(LongText)
    tags: Mapped[list[str]] = mapped_column(default=list)
    features: Mapped[list[str]] = mapped_column(default=list)
    docker_images: Mapped[dict[str, str]]
    """Label to image, in order; the first is the default."""
    file_denylist: Mapped[list[str]] = mapped_column(default=list)
    startup: Mapped[str] = mapped_column(LongText)
    startup_commands: Mapped[dict[str, str] | None] = mapped_column(Json)
    """Label to command, as Pelican has them; `startup` is the first. None for eggs of Pterodactyl."""
    config_files: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """File to `{parser, find}`, as eggs write it."""
    done: Mapped[list[str]] = mapped_column(default=list)
    """Console texts that mean «running»; see core.protocol.settings.StartupRules."""
    strip_ansi: Mapped[bool] = mapped_column(default=False)
    logs: Mapped[dict[str, Any] | None] = mapped_column(Json)
    """Kept for exports alone."""
    stop: Mapped[str] = mapped_column(LongText, default="")
    """A console line, or `^` and a signal."""
    script: Mapped[str] = mapped_column(LongText, default="")
    script_container: Mapped[str] = mapped_column(default="")
    script_entrypoint: Mapped[str] = mapped_column(default="bash")
    icon: Mapped[str | None] = mapped_column(LongText)
    """A picture as a data: address."""
    players: Mapped[dict[str, str] | None] = mapped_column(Json)
    """Aerie's extension: `{join, leave}`, see core.protocol.settings.PlayerPatterns."""

    variables: Mapped[list["EggVariable"]] = relationship(
        lazy="raise", cascade="all, delete-orphan", order_by="EggVariable.sort", passive_deletes=True
    )


class EggVariable(Numbered, Base):
    __tablename__ = "egg_variables"
    __table_args__ = (UniqueConstraint("egg_id", "env_variable"), OPTIONS)

    egg_id: Mapped[int] = mapped_column(ForeignKey("eggs.id", ondelete="CASCADE"))
    name: Mapped[str]
    description: Mapped[str] = mapped_column(LongText, default="")
    env_variable: Mapped[str] = mapped_column(String(191))
    default_value: Mapped[str] = mapped_column(LongText, default="")
    user_viewable: Mapped[bool] = mapped_column(default=False)
    user_editable: Mapped[bool] = mapped_column(default=False)
    rules: Mapped[list[str]] = mapped_column(default=list)
    sort: Mapped[int] = mapped_column(default=0)
