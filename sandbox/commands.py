"""The application's commands, global and per guild, as the bot synced them.

Must never validate (that is `rules.commands`) and never run anything.
"""

from sandbox import limits, permissions
from sandbox.clock import Clock
from sandbox.errors import DiscordError, Json
from sandbox.rules import commands as rules

Scope = str | None  # a guild id, or None for global


class Commands:
    """Commands by scope and id; keeps the count of creates for the limit of 200 a day."""

    def __init__(self, clock: Clock, application_id: str) -> None:
        self._clock = clock
        self._application_id = application_id
        self._scopes: dict[Scope, dict[str, Json]] = {}
        self._creates: dict[Scope, list[float]] = {}

    def of(self, scope: Scope) -> list[Json]:
        """The commands of one scope."""
        return list(self._scopes.get(scope, {}).values())

    def get(self, scope: Scope, command_id: str) -> Json | None:
        """One command."""
        return self._scopes.get(scope, {}).get(command_id)

    def replace(self, scope: Scope, checked: list[Json]) -> list[Json]:
        """A bulk overwrite: names that stay keep their id, others are new, the rest is gone."""
        old = {(item["type"], item["name"]): item for item in self.of(scope)}
        fresh = [item for item in checked if (item["type"], item["name"]) not in old]
        self._count_creates(scope, len(fresh))
        made = [self._file(item, scope, old.get((item["type"], item["name"]))) for item in checked]
        self._scopes[scope] = {item["id"]: item for item in made}
        return made

    def put(self, scope: Scope, checked: Json, command_id: str | None = None) -> tuple[Json, bool]:
        """Creates or overwrites one command; answers it and whether it is new."""
        table = self._scopes.setdefault(scope, {})
        key = (checked["type"], checked["name"])
        same = next((item for item in table.values() if (item["type"], item["name"]) == key), None)
        old = table.get(command_id) if command_id is not None else same
        if command_id is not None and same is not None and same["id"] != command_id:
            raise DiscordError(400, 50035, "Invalid Form Body", {
                "name": {"_errors": [{"code": "APPLICATION_COMMANDS_DUPLICATE_NAME",
                "message": "Application command names must be unique"}]}
            })  # fmt: skip
        if old is None:
            rules.check_count(checked["type"], sum(item["type"] == checked["type"] for item in table.values()) + 1)
            self._count_creates(scope, 1)
        made = self._file(checked, scope, old)
        table[made["id"]] = made
        return made, old is None

    def delete(self, scope: Scope, command_id: str) -> bool:
        """Removes a command; False when it is not there."""
        return self._scopes.get(scope, {}).pop(command_id, None) is not None

    def _file(self, checked: Json, scope: Scope, old: Json | None) -> Json:
        unchanged = old is not None and all(old.get(key) == value for key, value in checked.items())
        return {
            "id": old["id"] if old is not None else self._clock.snowflake(), "application_id": self._application_id,
            "version": old["version"] if old is not None and unchanged else self._clock.snowflake(), **checked,
            **({"guild_id": scope} if scope is not None else {}),
        }  # fmt: skip

    def _count_creates(self, scope: Scope, count: int) -> None:
        now = self._clock.now()
        recent = [moment for moment in self._creates.get(scope, []) if now - moment < 24 * 3600]
        if len(recent) + count > limits.COMMAND_CREATES_PER_DAY:
            raise DiscordError(
                400, 30034, f"Max number of daily application command creates has been reached ({limits.COMMAND_CREATES_PER_DAY})"
            )
        self._creates[scope] = recent + [now] * count

    def visible(self, guild_id: str, member_permissions: int) -> list[Json]:
        """What a member's picker offers in a guild: guild commands and global ones, by default_member_permissions."""
        return [item for item in [*self.of(guild_id), *self.of(None)] if self._offered(item, member_permissions)]

    @staticmethod
    def _offered(command: Json, member_permissions: int) -> bool:
        if command.get("contexts") and 0 not in command["contexts"]:
            return False
        needed = command["default_member_permissions"]
        if needed is None or member_permissions & permissions.ADMINISTRATOR:
            return True
        return needed != "0" and member_permissions & int(needed) == int(needed)
