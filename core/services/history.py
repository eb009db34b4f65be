"""Who may read what of the activity log. Whoever may do everything in a guild sees all of its; others what concerns servers on which they
hold `activity.read`, and what they did themselves. Addresses are shown to the first, and to those they belong to.
"""

from core.actor import Actor
from core.errors import Forbidden
from core.models.activity import Activity
from core.permissions import ACTIVITY_READ, ALL
from core.services.access import Access
from core.services.activity import ActivityLog, ActivityPage, Wanted

EVENT = "server:activity.read"


class History:
    def __init__(self, access: Access, activity: ActivityLog) -> None:
        self._access = access
        self._activity = activity

    async def page(
        self,
        actor: Actor,
        *,
        server: str | None = None,
        person: int | None = None,
        event: str = "",
        before: int | None = None,
        after: int | None = None,
        most: int = 10,
    ) -> ActivityPage:
        """One page of what the actor may see, newest first. Raises NotFound, MissingPermission, and Forbidden outside a guild."""
        if actor.guild_id is None:
            raise Forbidden("The activity log belongs to a community.", hint="Ask for it in one of its channels.")
        if server is not None:
            found = await self._access.server(actor, server, ACTIVITY_READ, event=EVENT)
            wanted = Wanted(actor.guild_id, frozenset({found.id}), person=person, event=event)
        elif ALL in await self._access.in_guild(actor):
            wanted = Wanted(actor.guild_id, person=person, event=event)
        else:
            seen = frozenset(one.id for one in await self._access.visible(actor, ACTIVITY_READ))
            wanted = Wanted(actor.guild_id, seen, actor.discord_id, person, event)
        page = await self._activity.page(wanted, before=before, after=after, most=most)
        if ALL not in await self._access.in_guild(actor):
            for row in page.rows:
                hide_address(row, actor)
        return page


def hide_address(row: Activity, actor: Actor) -> None:
    """Somebody else's network address is nobody's business; a channel is. The row is detached: nothing is written."""
    if row.discord_id != actor.discord_id and not row.origin.startswith("discord:"):
        row.origin = ""
