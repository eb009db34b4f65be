"""Eggs: importing, listing, exporting and deleting them. They belong to all guilds; who may change them, `access.require_builder` says."""

import asyncio
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Select, func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import selectinload

from core.actor import Actor
from core.clock import Clock
from core.db.engine import Database
from core.errors import Conflict, Invalid, NotFound
from core.models.egg import Egg, EggVariable
from core.models.server import Server
from core.protocol import egg as files
from core.protocol.egg_export import FORMATS, write
from core.protocol.settings import PlayerPatterns
from core.services.access import Access
from core.services.activity import ActivityLog


@dataclass(frozen=True, slots=True)
class Imported:
    """What came of an import. `notes` are sentences on what was odd; `servers` already use the egg."""

    egg: Egg
    created: bool
    notes: list[str]
    servers: int = 0


class Eggs:
    def __init__(self, database: Database, access: Access, activity: ActivityLog, clock: Clock) -> None:
        self._database = database
        self._access = access
        self._activity = activity
        self._clock = clock

    async def take(self, actor: Actor, body: bytes, *, replace: str | int | None = None) -> Imported:
        """Import one egg file. A known egg is updated in place: `replace`, else that of its uuid and name, else of its name and author.

        Variables are matched by their env_variable; those the file no longer has go, with the servers' values of them. Raises Invalid,
        saying what is wrong with the file, NotFound and MissingPermission.
        """
        await self._access.require_builder(actor, event="egg:import")
        file = await asyncio.to_thread(files.read, body)
        notes = list(file.notes)
        async with self._database.begin() as session:
            row = await _found(session, replace) if replace is not None else await self._known(session, file, notes)
            if created := row is None:
                row = Egg(created_at=self._clock.now(), variables=[])
                session.add(row)
            _fill(row, file)
            await session.flush()
            servers = await session.scalar(select(func.count()).select_from(Server).where(Server.egg_id == row.id)) or 0
            egg_id = row.id
        await self._activity.write(actor, "egg:import", metadata={"egg": file.name, "created": created})
        return Imported(await self.get(egg_id), created, notes, servers)

    async def import_ptdl(self, body: bytes) -> Egg:
        """Import one egg file on Aerie's own behalf. Raises Invalid, saying what is wrong with it."""
        return (await self.take(Actor.system("import"), body)).egg

    async def _known(self, session: AsyncSession, file: files.EggFile, notes: list[str]) -> Egg | None:
        """The egg that a file is a newer edition of."""
        if file.uuid is not None:
            same = list(await session.scalars(_eggs().where(Egg.file_uuid == file.uuid).limit(5)))
            for row in same:
                if row.name == file.name:
                    return row
            if same:
                notes.append(f"The egg {same[0].name} has the same uuid; since its name differs, this one was kept beside it.")
                return None
        named = list(await session.scalars(_eggs().where(Egg.name == file.name, Egg.author == file.author[:191]).order_by(Egg.id)))
        fitting = [row for row in named if row.file_uuid is None or file.uuid is None]
        return fitting[0] if fitting else None

    async def all(self) -> list[Egg]:
        """Every egg with its variables, by name."""
        async with self._database.session() as session:
            return list(await session.scalars(_eggs().order_by(Egg.name, Egg.id)))

    async def get(self, egg_id: int) -> Egg:
        """Raises NotFound."""
        async with self._database.session() as session:
            return await _found(session, egg_id)

    async def find(self, ref: str | int) -> Egg:
        """By id or name. Raises NotFound, and Conflict when several have the name."""
        async with self._database.session() as session:
            return await _found(session, ref)

    async def used_by(self, egg: Egg) -> int:
        """How many servers use it, in all guilds."""
        async with self._database.session() as session:
            return await session.scalar(select(func.count()).select_from(Server).where(Server.egg_id == egg.id)) or 0

    async def delete(self, actor: Actor, ref: str | int) -> Egg:
        """Forget an egg that no server uses. Raises Conflict when one does."""
        await self._access.require_builder(actor, event="egg:delete")
        async with self._database.begin() as session:
            row = await _found(session, ref)
            count = await session.scalar(select(func.count()).select_from(Server).where(Server.egg_id == row.id))
            if count:
                raise Conflict(
                    f"The egg {row.name} cannot be deleted: {count} server{' still uses' if count == 1 else 's still use'} it.",
                    hint="Delete those servers first; `/egg import` updates an egg in place.",
                )
            await session.delete(row)
        await self._activity.write(actor, "egg:delete", metadata={"egg": row.name})
        return row

    async def export(self, ref: str | int, kind: str) -> tuple[Egg, bytes, list[str]]:
        """An egg as a file of `kind` (PTDL_v2, PLCN_v3), and what that kind cannot hold. Raises NotFound and Invalid."""
        if kind not in FORMATS:
            raise Invalid(f"Eggs are written as {' or '.join(FORMATS)}.")
        row = await self.find(ref)
        body, lost = write(_file(row), kind, self._clock.now().isoformat(timespec="seconds"))
        return row, body, lost


def _eggs() -> Select[Egg]:
    return select(Egg).options(selectinload(Egg.variables))


async def _found(session: AsyncSession, ref: str | int) -> Egg:
    text = str(ref).strip()
    readings: list[ColumnElement[bool]] = [] if isinstance(ref, int) else [Egg.name == text, func.lower(Egg.name) == text.lower()]
    if text.isascii() and text.isdigit() and len(text) < 10:
        readings.insert(0 if isinstance(ref, int) else len(readings), Egg.id == int(text))
    for reading in readings:
        rows = list(await session.scalars(_eggs().where(reading).order_by(Egg.id).limit(2)))
        if len(rows) == 1:
            return rows[0]
        if rows:
            raise Conflict(f"Several eggs are called {rows[0].name}.", hint="Choose one of the suggestions; they know which is which.")
    raise NotFound("There is no such egg.", hint="`/egg list` shows all.")


def _fill(row: Egg, file: files.EggFile) -> None:
    """Make a row what a file says. Variables keep their ids, and with them what servers chose."""
    row.version, row.file_uuid = file.version, file.uuid or row.file_uuid
    row.name, row.author, row.description = file.name, file.author[:191], file.description
    row.update_url, row.tags, row.features, row.icon = file.update_url, file.tags, file.features, file.icon
    row.docker_images, row.file_denylist = file.docker_images, file.file_denylist
    row.startup, row.startup_commands = file.startup, file.startup_commands or None
    row.config_files, row.done, row.strip_ansi = file.config_files, file.done, file.strip_ansi
    row.logs, row.stop = file.logs or None, file.stop
    row.script, row.script_container, row.script_entrypoint = file.script, file.script_container[:191], file.script_entrypoint[:191]
    row.players = file.players.model_dump() if file.players else None
    known = {variable.env_variable: variable for variable in row.variables}
    row.variables = [_variable(known.get(variable.env_variable), variable) for variable in file.variables]


def _variable(row: EggVariable | None, file: files.EggVariableFile) -> EggVariable:
    row = row or EggVariable(env_variable=file.env_variable)
    row.name, row.description, row.default_value = file.name[:191], file.description, file.default_value
    row.user_viewable, row.user_editable = file.user_viewable, file.user_editable
    row.rules, row.sort = file.rules, file.sort
    return row


def _file(row: Egg) -> files.EggFile:
    return files.EggFile(
        version=row.version,
        uuid=row.file_uuid or row.uuid,
        name=row.name,
        author=row.author,
        description=row.description,
        update_url=row.update_url,
        tags=row.tags,
        features=row.features,
        docker_images=row.docker_images,
        file_denylist=row.file_denylist,
        startup=row.startup,
        startup_commands=row.startup_commands or {},
        config_files=row.config_files,
        done=row.done,
        strip_ansi=row.strip_ansi,
        logs=row.logs or {},
        stop=row.stop,
        script=row.script,
        script_container=row.script_container,
        script_entrypoint=row.script_entrypoint,
        icon=row.icon,
        players=PlayerPatterns.model_validate(row.players) if row.players else None,
        variables=[
            files.EggVariableFile(
                name=variable.name,
                description=variable.description,
                env_variable=variable.env_variable,
                default_value=variable.default_value,
                user_viewable=variable.user_viewable,
                user_editable=variable.user_editable,
                rules=variable.rules,
                sort=variable.sort,
            )
            for variable in row.variables
        ],
    )
