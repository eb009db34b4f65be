"""Eggs: importing and listing them."""

from sqlalchemy import select
from sqlalchemy.orm import selectinload

from core.clock import Clock
from core.db.engine import Database
from core.errors import NotFound
from core.models.egg import Egg, EggVariable
from core.protocol import egg as files


class Eggs:
    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def import_ptdl(self, body: bytes) -> Egg:
        """Keep one egg file (PTDL or PLCN, as JSON) as a new egg. Raises Invalid, saying what is wrong with it."""
        file = files.read(body)
        row = Egg(
            name=file.name,
            author=file.author[:191],
            description=file.description,
            update_url=file.update_url,
            tags=file.tags,
            features=file.features,
            docker_images=file.docker_images,
            file_denylist=file.file_denylist,
            startup=file.startup,
            config_files=file.config_files,
            done=file.done,
            strip_ansi=file.strip_ansi,
            stop=file.stop,
            script=file.script,
            script_container=file.script_container[:191],
            script_entrypoint=file.script_entrypoint[:191],
            players=file.players.model_dump() if file.players else None,
            created_at=self._clock.now(),
            variables=[
                EggVariable(
                    name=variable.name[:191],
                    description=variable.description,
                    env_variable=variable.env_variable,
                    default_value=variable.default_value,
                    user_viewable=variable.user_viewable,
                    user_editable=variable.user_editable,
                    rules=variable.rules,
                    sort=variable.sort,
                )
                for variable in file.variables
            ],
        )
        async with self._database.begin() as session:
            session.add(row)
        return row

    async def all(self) -> list[Egg]:
        """Every egg with its variables, by name."""
        async with self._database.session() as session:
            return list(await session.scalars(select(Egg).options(selectinload(Egg.variables)).order_by(Egg.name, Egg.id)))

    async def get(self, egg_id: int) -> Egg:
        """Raises NotFound."""
        async with self._database.session() as session:
            row = await session.scalar(select(Egg).options(selectinload(Egg.variables)).where(Egg.id == egg_id))
        if row is None:
            raise NotFound("There is no such egg.")
        return row
