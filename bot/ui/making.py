"""Servers in the making, as people see them: the summary with its buttons, the forms for variables, what an installation says.

Buttons and forms carry a draft's code or a server's short id, so they outlive the bot. Must never show a value that looks secret.
"""

import re
from collections.abc import Awaitable, Callable
from typing import Any, ClassVar, Self

import discord

from bot.client import AerieClient
from bot.ui import ansi, errors
from bot.ui.asker import actor_of
from bot.ui.buttons import Act, ServerButton
from bot.ui.text import CONTENT, clip, code, fence, plain
from core.services import amounts
from core.services.drafts import Drafted
from core.services.variables import Question

Interaction = discord.Interaction[AerieClient]
Made = Callable[[], None]

PER_FORM = 5
FORM = "mk1f:"
DELETE_FORM = "mk1d:"
_VALUE = 60  # characters of a value in the summary


class MakingButton(
    discord.ui.DynamicItem[discord.ui.Button[Any]], template=r"mk1:(?P<act>\w+):(?P<code>[0-9a-z]{8})(?::(?P<page>\d{1,2}))?"
):
    """`fill`, `create` and `cancel` a draft; `again` installs a server anew."""

    presses: ClassVar[dict[str, Callable[[Interaction, str, int], Awaitable[None]]]] = {}

    def __init__(self, act: str, code: str, page: int = 0, *, label: str = "…", style: Any = None, disabled: bool = False) -> None:
        style = style or discord.ButtonStyle.secondary
        custom_id = f"mk1:{act}:{code}:{page}"
        super().__init__(discord.ui.Button(label=label, style=style, disabled=disabled, custom_id=custom_id))
        self.act, self.code, self.page = act, code, page

    @classmethod
    async def from_custom_id(cls, interaction: discord.Interaction[Any], item: discord.ui.Item[Any], match: re.Match[str], /) -> Self:
        return cls(match["act"], match["code"], int(match["page"] or 0))

    async def callback(self, interaction: discord.Interaction[Any]) -> None:
        try:
            press = self.presses.get(self.act)
            if press is None:
                await errors.say(interaction, errors.OLD_PANEL)
            else:
                await press(interaction, self.code, self.page)
        except Exception as error:  # noqa: BLE001 — discord.py would swallow it and the person would see "interaction failed"
            await errors.tell(interaction, error)


def summary(draft: Drafted) -> str:
    """What will be made, and what is missing."""
    order = draft.order
    place = f"{plain(draft.place, 60)} (chosen automatically)" if draft.place and order.node_id is None else plain(draft.place, 60)
    lines = [
        f"### 🏗️ {plain(order.name, 80)}",
        f"**Game** {plain(draft.egg.name, 80)}" + (f" · **Node** {place}" if place else ""),
        f"**Memory** {amounts.shown(order.memory, 'MB')} · **Disk** {amounts.shown(order.disk, 'MiB')}"
        f" · **CPU** {amounts.shown(order.cpu, '%')}",
    ]
    if order.image:
        lines.append(f"**Image** {code(order.image, 120)}")
    if order.skip_scripts:
        lines.append("Its install script will not be run.")
    lines += [_answer(question, order.answers) for question in draft.questions[:15]]
    if len(draft.questions) > 15:
        lines.append(f"-# and {len(draft.questions) - 15} more variables")
    lines += [f"⚠️ {plain(words, 200)}" for words in list(draft.wrong.values())[:5]]
    lines.append("-# Press **Create** when it is right." if not draft.wrong else "-# Fill in the variables; then it can be created.")
    return clip("\n".join(lines), CONTENT)


def _answer(question: Question, answers: dict[str, str]) -> str:
    given = question.env in answers
    value = answers.get(question.env, question.default)
    shown = "•••" if question.secret and value else plain(value, _VALUE) or "*empty*"
    return f"- {plain(question.name, 60)}: {shown}{'' if given else ' (as the egg says)'}"


def buttons(draft: Drafted) -> discord.ui.View:
    """Forms, five variables each, then Create and Cancel."""
    view = discord.ui.View(timeout=None)
    pages = -(-len(draft.questions) // PER_FORM)
    for page in range(min(pages, 20)):
        label = "Variables" if pages == 1 else f"Variables {page + 1} of {pages}"
        part = draft.questions[page * PER_FORM : (page + 1) * PER_FORM]
        urgent = any(question.env in draft.wrong for question in part)
        style = discord.ButtonStyle.primary if urgent else discord.ButtonStyle.secondary
        view.add_item(MakingButton("fill", draft.code, page, label=label, style=style))
    view.add_item(MakingButton("create", draft.code, label="Create", style=discord.ButtonStyle.success, disabled=bool(draft.wrong)))
    view.add_item(MakingButton("cancel", draft.code, label="Cancel"))
    return view


def form(draft: Drafted, page: int) -> discord.ui.Modal:
    """One form of at most five variables; what was answered before stands in it."""
    modal = discord.ui.Modal(title=clip(f"Variables of {draft.order.name}", 45), custom_id=f"{FORM}{draft.code}")
    for number, question in list(enumerate(draft.questions))[page * PER_FORM : (page + 1) * PER_FORM]:
        value = draft.order.answers.get(question.env, question.default)
        words = draft.wrong.get(question.env) or question.description
        modal.add_item(
            discord.ui.Label(
                text=clip(question.name, 45),
                description=clip(" ".join(words.split()), 100) or None,
                component=_field(number, question, value),
            )
        )
    return modal


def _field(number: int, question: Question, value: str) -> discord.ui.TextInput[Any] | discord.ui.Select[Any]:
    if 1 <= len(question.choices) <= 25 and all(0 < len(choice) <= 100 for choice in question.choices):
        words = {"1": "Yes", "0": "No"} if sorted(question.choices) == ["0", "1"] else {}
        options = [
            discord.SelectOption(label=words.get(choice, choice), value=choice, default=choice == value)
            for choice in dict.fromkeys(question.choices)
        ]
        return discord.ui.Select(custom_id=f"v{number}", options=options, required=question.must, min_values=1 if question.must else 0)
    long = "\n" in value or len(value) > 200
    return discord.ui.TextInput(
        custom_id=f"v{number}",
        default=value[:4000] or None,
        required=question.must,
        max_length=4000,
        style=discord.TextStyle.paragraph if long else discord.TextStyle.short,
    )


async def _fill(interaction: Interaction, code: str, page: int) -> None:
    draft = await interaction.client.services.drafts.get(actor_of(interaction), code)
    await interaction.response.send_modal(form(draft, page))


async def filled(interaction: Interaction, code: str, values: dict[str, str]) -> None:
    """A form was sent."""
    await interaction.response.defer()
    drafts, actor = interaction.client.services.drafts, actor_of(interaction)
    draft = await drafts.get(actor, code)
    known = {f"v{number}": question.env for number, question in enumerate(draft.questions)}
    draft = await drafts.answer(actor, code, {known[name]: value for name, value in values.items() if name in known})
    await interaction.edit_original_response(content=summary(draft), view=buttons(draft))


async def _create(interaction: Interaction, code: str, _page: int) -> None:
    await interaction.response.defer()
    made = await interaction.client.services.drafts.finish(actor_of(interaction), code)
    await interaction.edit_original_response(content=f"🏗️ **{plain(made.name, 80)}** is being created …", view=None)
    interaction.client.server_made()


async def _cancel(interaction: Interaction, code: str, _page: int) -> None:
    await interaction.client.services.drafts.cancel(actor_of(interaction), code)
    await interaction.response.edit_message(content="No server was made.", view=None)


async def _again(interaction: Interaction, sid: str, _page: int) -> None:
    """The failed installation's own message follows the next one."""
    await interaction.response.defer()
    services = interaction.client.services
    server = await services.servers.reinstall(actor_of(interaction), sid)
    message = await interaction.original_response()
    await services.drafts.follow(server, interaction.user.id, message.channel.id, message.id, reinstall=True)
    await interaction.edit_original_response(content=f"🏗️ **{plain(server.name, 80)}** is being installed again …", view=None)
    interaction.client.server_made()


async def _reinstall(interaction: Interaction, sid: str, _page: int) -> None:
    """The answer to «really?»: a message of its own for all to see."""
    await interaction.response.defer()
    services = interaction.client.services
    server = await services.servers.reinstall(actor_of(interaction), sid)
    await interaction.edit_original_response(content="Confirmed.", view=None)
    words = f"🏗️ **{plain(server.name, 80)}** is being installed again …"
    message = await interaction.followup.send(words, wait=True)
    await services.drafts.follow(server, interaction.user.id, message.channel.id, message.id, reinstall=True)
    interaction.client.server_made()


async def _leave(interaction: Interaction, _code: str, _page: int) -> None:
    await interaction.response.edit_message(content="Nothing was done.", view=None)


MakingButton.presses = {
    "fill": _fill,
    "create": _create,
    "cancel": _cancel,
    "again": _again,
    "redo": _reinstall,
    "leave": _leave,
}


async def deletion(interaction: Interaction, rest: str, values: dict[str, str]) -> None:
    """The name was typed: delete the server, if it is the right one."""
    await interaction.response.defer(ephemeral=True, thinking=True)
    services, actor = interaction.client.services, actor_of(interaction)
    force, sid = rest[:1] == "1", rest[1:]
    server = await services.access.server(actor, sid, "*", event="server:delete")
    if values.get("name", "").strip().casefold() != server.name.casefold():
        await interaction.edit_original_response(content=f"Nothing was deleted: that is not the name of **{plain(server.name, 80)}**.")
        return
    await services.servers.delete(actor, server.uuid, force=force)
    await interaction.edit_original_response(content=f"🗑️ **{plain(server.name, 80)}** and its files are deleted.")


def deletion_form(name: str, sid: str, *, force: bool) -> discord.ui.Modal:
    """Asks for the server's name, so that nobody deletes by a slip."""
    modal = discord.ui.Modal(title=clip(f"Delete {name}?", 45), custom_id=f"{DELETE_FORM}{int(force)}{sid}")
    field: discord.ui.TextInput[Any] = discord.ui.TextInput(custom_id="name", max_length=100)
    modal.add_item(
        discord.ui.Label(text="Name of the server", description="Its files are deleted too and cannot be had back.", component=field)
    )
    return modal


def reinstall_question(sid: str) -> discord.ui.View:
    view = discord.ui.View(timeout=None)
    view.add_item(MakingButton("redo", sid, label="Reinstall", style=discord.ButtonStyle.danger))
    view.add_item(MakingButton("leave", sid, label="Cancel"))
    return view


def ready_view(sid: str) -> discord.ui.View:
    view = discord.ui.View(timeout=None)
    view.add_item(ServerButton(Act.START, sid))
    return view


def failed_view(sid: str) -> discord.ui.View:
    view = discord.ui.View(timeout=None)
    view.add_item(MakingButton("again", sid, label="Try again", style=discord.ButtonStyle.primary))
    return view


def last_lines(lines: list[str]) -> str:
    """The installer's last words in a code block; nothing when there are none."""
    clean = [ansi.log_line(line).expandtabs(4).rstrip() for text in lines for line in re.split(r"[\r\n]+", text)]
    shown = [line for line in clean if line][-8:]
    return "\n" + fence(shown, 1200) if shown else ""
