"""/api/client/account: the key's owner, their keys, what they did; and the permissions there are."""

from aiohttp import web

from bot.api.auth import caller_of
from bot.api.client import resources
from bot.api.errors import PanelError
from bot.api.input import Input
from bot.api.paging import Paging, answer, collection, done, filters, includes, item, paged, sorting
from core.errors import Invalid, LimitReached
from core.permissions import GROUPS, MEANINGS
from core.services.api_keys import MOST_ADDRESSES, MOST_MEMO, ApiKeys, checked_addresses
from core.services.directory import Directory
from core.vocabulary import KeyKind


class AccountRoutes:
    def __init__(self, keys: ApiKeys, directory: Directory) -> None:
        self._keys = keys
        self._directory = directory

    async def show(self, request: web.Request) -> web.Response:
        return answer(resources.account(caller_of(request).user))

    async def permissions(self, request: web.Request) -> web.Response:
        groups = {
            group: {
                "description": words,
                "keys": {key.partition(".")[2]: meaning for key, meaning in MEANINGS.items() if key.partition(".")[0] == group},
            }
            for group, words in GROUPS.items()
        }
        return answer(item("system_permissions", {"permissions": groups}))

    async def keys(self, request: web.Request) -> web.Response:
        return answer(collection([resources.api_key(row) for row in await self._keys.of(caller_of(request).user, KeyKind.CLIENT)]))

    async def create_key(self, request: web.Request) -> web.Response:
        """The secret half stands in `meta.secret_token`, this once."""
        caller, given = caller_of(request), await Input.of(request)
        memo = given.text("description", most=MOST_MEMO)
        addresses = [str(entry) for entry in given.items("allowed_ips", most=MOST_ADDRESSES) if entry is not None]
        for index, entry in enumerate(addresses):
            try:
                checked_addresses([entry])
            except Invalid as error:
                given.fail(f"allowed_ips.{index}", "p_ip_address", error.message)
        given.checked()
        try:
            row, secret = await self._keys.create(caller.actor, caller.user, memo=memo, allowed_ips=addresses)
        except LimitReached as error:
            raise PanelError(400, "DisplayException", error.message, hint=error.hint) from error
        return answer({**resources.api_key(row), "meta": {"secret_token": secret}})

    async def delete_key(self, request: web.Request) -> web.Response:
        caller = caller_of(request)
        await self._keys.remove(caller.actor, caller.user, request.match_info["identifier"], KeyKind.CLIENT)
        return done()

    async def activity(self, request: web.Request) -> web.Response:
        user = caller_of(request).user
        paging, chosen = Paging.of(request, default=25, most=100), filters(request, ("event",))
        order = sorting(request, ("timestamp",))
        rows, total = await self._directory.activities(
            user=user,
            event=chosen.get("event", ""),
            descending=order is None or order[1],
            first=paging.first,
            count=paging.per_page,
        )
        with_actor = "actor" in includes(request)
        shown = [resources.activity(row, show_ip=True, actor=user, with_actor=with_actor) for row in rows]
        return paged(request, shown, paging, total)
