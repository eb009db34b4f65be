"""/api/application/users."""

import re

from aiohttp import web

from bot.api.application.includes import Shown
from bot.api.application.listing import Listing, number_of
from bot.api.auth import caller_of
from bot.api.errors import PanelError
from bot.api.input import Input
from bot.api.paging import address, answer, done, includes
from core.errors import Conflict
from core.models.user import User
from core.services.directory import Directory
from core.services.people import People, Person

_USERNAME = r"[a-zA-Z0-9][\w.-]+[a-zA-Z0-9]"
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+")
LANGUAGES = ("en",)


class UserRoutes:
    def __init__(self, people: People, directory: Directory) -> None:
        self._people = people
        self._directory = directory
        self._list = Listing(directory, User, filters=("email", "uuid", "username", "external_id"), sorts=("id", "uuid"))

    async def listing(self, request: web.Request) -> web.Response:
        return await self._list.answer(request, Shown.to(request, self._directory).users)

    async def show(self, request: web.Request) -> web.Response:
        return await self._one(request, await self._directory.one(User, "id", number_of(request, "id")))

    async def external(self, request: web.Request) -> web.Response:
        return await self._one(request, await self._directory.one(User, "external_id", request.match_info["external_id"]))

    async def create(self, request: web.Request) -> web.Response:
        user = await self._people.create(caller_of(request).actor, await self._person(request, None))
        shown = (await Shown.to(request, self._directory).users([user]))[0]
        return answer({**shown, "meta": {"resource": address(request, f"/api/application/users/{user.id}")}}, status=201)

    async def update(self, request: web.Request) -> web.Response:
        user = await self._directory.one(User, "id", number_of(request, "id"))
        person = await self._person(request, user)
        return await self._one(request, await self._people.update(caller_of(request).actor, user.id, person))

    async def delete(self, request: web.Request) -> web.Response:
        try:
            await self._people.delete(caller_of(request).actor, number_of(request, "id"))
        except Conflict as error:
            raise PanelError(400, "HasActiveServersException", error.message, hint=error.hint) from error
        return done()

    async def _one(self, request: web.Request, user: User) -> web.Response:
        return answer((await Shown.to(request, self._directory).users([user], includes(request)))[0])

    async def _person(self, request: web.Request, known: User | None) -> Person:
        given = await Input.of(request)
        email = given.text("email")
        if email and not _EMAIL.fullmatch(email):
            given.fail("email", "email", "The email must be a valid email address.")
        username = given.text("username", most=64, pattern=_USERNAME, rule="p_username").lower()
        person = Person(
            email=email,
            username=username,
            first_name=given.text("first_name"),
            last_name=given.text("last_name"),
            external_id=given.text("external_id", required=False) or None,
            root_admin=given.flag("root_admin", default=known.root_admin if known is not None else False),
            language=given.choice("language", LANGUAGES) if given.value("language") is not None else "en",
        )
        for column, value in (("email", email), ("username", username), ("external_id", person.external_id)):
            twin = await self._directory.find(User, column, value) if value else None
            if twin is not None and (known is None or twin.id != known.id):
                given.fail(column, "unique", f"The {column.replace('_', ' ')} has already been taken.")
        given.checked()
        return person
