"""discord.py answers interactions against the sandbox, and people see what they would see at Discord."""

import asyncio
import io
import re
from typing import Any

import discord
import pytest
from discord import app_commands, ui

from sandbox.app import Sandbox
from sandbox.person import NotSeen, Person, Refused
from tests.sandbox.clients import Api, Bot, StartBot


async def test_a_command_is_answered_in_its_channel(box: Sandbox, start_bot: StartBot, ada: Person, kim: Person) -> None:
    def set_up(bot: Bot) -> None:
        @bot.tree.command(description="Says hello")
        async def hello(interaction: discord.Interaction, name: str) -> None:
            assert interaction.filesize_limit == 10 * 1024 * 1024
            callback = await interaction.response.send_message(f"Hello {name}!")
            assert isinstance(callback.resource, discord.InteractionMessage)

    async with start_bot(set_up):
        asked = await ada.run("hello", channel="general", name="Kim")
        answer = await ada.answer(asked)
        assert answer["content"] == "Hello Kim!"
        assert answer["interaction_metadata"]["name"] == "hello"
        assert answer["interaction_metadata"]["user"]["username"] == "Ada"
        seen = await kim.wait_for(lambda message: message["content"] == "Hello Kim!")
        assert seen["id"] == answer["id"]


async def test_a_deferred_answer_is_thinking_until_it_is_edited(box: Sandbox, start_bot: StartBot, ada: Person, kim: Person) -> None:
    def set_up(bot: Bot) -> None:
        @bot.tree.command(description="Takes a while")
        async def slow(interaction: discord.Interaction) -> None:
            await interaction.response.defer(ephemeral=True)
            await interaction.edit_original_response(content="done")

    async with start_bot(set_up):
        answer = await ada.answer(await ada.run("slow"))
        assert answer["content"] == "done"
        assert answer["ephemeral_for"] == ada.me["id"]
        assert answer["edited_timestamp"] is None
        assert any(frame["type"] == "message_create" and frame["message"]["thinking"] for frame in ada.frames)
        assert kim.messages() == []
        await ada.dismiss(answer)
        await ada.wait_until(lambda: ada.messages() == [])


async def test_followups_and_a_deleted_answer(box: Sandbox, start_bot: StartBot, ada: Person) -> None:
    def set_up(bot: Bot) -> None:
        @bot.tree.command(description="Speaks twice")
        async def twice(interaction: discord.Interaction) -> None:
            await interaction.response.send_message("one")
            second = await interaction.followup.send("two", wait=True)
            await second.edit(content="two, changed")
            original = await interaction.original_response()
            assert original.content == "one"
            await interaction.delete_original_response()

    async with start_bot(set_up):
        asked = await ada.run("twice")
        answer = await ada.answer(asked, lambda message: message["content"] == "two, changed")
        await ada.wait_until(lambda: [message["id"] for message in ada.messages()] == [answer["id"]])


async def test_the_first_followup_after_a_defer_fills_the_waiting_message(box: Sandbox, start_bot: StartBot, ada: Person) -> None:
    def set_up(bot: Bot) -> None:
        @bot.tree.command(description="Old manners")
        async def old(interaction: discord.Interaction) -> None:
            await interaction.response.defer(ephemeral=True)
            await interaction.followup.send("filled")

    async with start_bot(set_up):
        answer = await ada.answer(await ada.run("old"))
        assert (answer["content"], answer["ephemeral_for"]) == ("filled", ada.me["id"])
        assert len(ada.messages()) == 1


async def test_nobody_answering_within_three_seconds_is_told_to_the_person(box: Sandbox, start_bot: StartBot, ada: Person) -> None:
    seen: list[discord.HTTPException] = []

    def set_up(bot: Bot) -> None:
        @bot.tree.command(description="Sleeps")
        async def sleepy(interaction: discord.Interaction) -> None:
            await asyncio.sleep(3.3)
            try:
                await interaction.response.send_message("too late")
            except discord.HTTPException as error:
                seen.append(error)

    async with start_bot(set_up):
        asked = await ada.run("sleepy")
        assert await ada.wait_for_failure(asked) == "The application did not respond"
        with pytest.raises(NotSeen, match="did not respond"):
            await ada.answer(asked)
        await asyncio.sleep(0.6)
        assert [(error.status, error.code) for error in seen] == [(404, 10062)]


async def test_a_second_acknowledgement_is_refused(box: Sandbox, start_bot: StartBot, ada: Person) -> None:
    seen: list[int] = []

    def set_up(bot: Bot) -> None:
        @bot.tree.command(description="Answers twice")
        async def again(interaction: discord.Interaction) -> None:
            await interaction.response.send_message("first")
            interaction.response._response_type = None
            try:
                await interaction.response.send_message("second")
            except discord.HTTPException as error:
                seen.append(error.code)

    async with start_bot(set_up):
        await ada.answer(await ada.run("again"))
        await ada.wait_until(lambda: True)
        await asyncio.sleep(0.2)
        assert seen == [40060]


async def test_a_token_dies_after_fifteen_minutes(box: Sandbox, start_bot: StartBot, ada: Person) -> None:
    kept: list[discord.Interaction] = []

    def set_up(bot: Bot) -> None:
        @bot.tree.command(description="Keeps its interaction")
        async def keep(interaction: discord.Interaction) -> None:
            await interaction.response.send_message("kept")
            kept.append(interaction)

    async with start_bot(set_up):
        await ada.answer(await ada.run("keep"))
        box.clock.advance(15 * 60)
        with pytest.raises(discord.HTTPException) as caught:
            await kept[0].edit_original_response(content="later")
        assert (caught.value.status, caught.value.code) == (401, 50027)


class Asked(ui.Modal, title="Settings"):
    name: ui.Label[Any] = ui.Label(text="Name", component=ui.TextInput(custom_id="name", max_length=20))
    size: ui.Label[Any] = ui.Label(
        text="Size",
        component=ui.Select(
            custom_id="size", options=[discord.SelectOption(label="Small", value="s"), discord.SelectOption(label="Large", value="l")]
        ),
    )
    note: ui.TextDisplay[Any] = ui.TextDisplay("Everything can be changed later.")
    world: ui.Label[Any] = ui.Label(text="World", component=ui.FileUpload(custom_id="world", required=False))

    async def on_submit(self, interaction: discord.Interaction) -> None:
        assert isinstance(self.name.component, ui.TextInput)
        assert isinstance(self.size.component, ui.Select)
        assert isinstance(self.world.component, ui.FileUpload)
        sizes = [len(await item.read()) for item in self.world.component.values]
        await interaction.response.send_message(f"{self.name.component.value} {self.size.component.values[0]} {sizes}", ephemeral=True)


async def test_a_modal_opens_is_checked_and_submitted(box: Sandbox, start_bot: StartBot, ada: Person, kim: Person) -> None:
    def set_up(bot: Bot) -> None:
        @bot.tree.command(description="Asks")
        async def ask(interaction: discord.Interaction) -> None:
            await interaction.response.send_modal(Asked(custom_id="settings:1"))

    async with start_bot(set_up):
        asked = await ada.run("ask")
        form = await ada.wait_for_modal(interaction_id=asked)
        assert (form["title"], form["custom_id"]) == ("Settings", "settings:1")
        assert kim.modals == []
        with pytest.raises(Refused, match="Name is required"):
            await ada.submit({"size": ["s"]})
        with pytest.raises(Refused, match="0 to 20 characters"):
            await ada.submit({"Name": "x" * 21, "size": "s"})
        with pytest.raises(Refused, match="cannot be chosen"):
            await ada.submit({"Name": "Eyrie", "size": "xl"})
        submitted = await ada.submit({"Name": "Eyrie", "Size": ["Large"], "World": [Person.file("world.zip", b"12345")]})
        answer = await ada.answer(submitted)
        assert answer["content"] == "Eyrie l [5]"


class Panel(ui.View):
    def __init__(self) -> None:
        super().__init__(timeout=None)

    @ui.button(label="Start", custom_id="panel:start", style=discord.ButtonStyle.success)
    async def start(self, interaction: discord.Interaction, button: ui.Button[Any]) -> None:
        button.disabled = True
        await interaction.response.edit_message(content=f"started by {interaction.user.name}", view=self)

    @ui.button(label="Look", custom_id="panel:look")
    async def look(self, interaction: discord.Interaction, button: ui.Button[Any]) -> None:
        await interaction.response.defer()
        await interaction.followup.send("only you see this", ephemeral=True)

    @ui.select(cls=ui.UserSelect, placeholder="Whom?", custom_id="panel:whom")
    async def whom(self, interaction: discord.Interaction, select: ui.UserSelect[Any]) -> None:
        await interaction.response.send_message(f"chose {select.values[0].name}")


async def test_buttons_and_selects_of_a_message(box: Sandbox, start_bot: StartBot, ada: Person, kim: Person) -> None:
    async with start_bot() as bot:
        await bot.text_channel().send("a panel", view=Panel())
        panel = await ada.wait_for(lambda message: message["content"] == "a panel")
        await kim.wait_for(lambda message: message["content"] == "a panel")
        looked = await kim.press(panel, "Look")
        private = await kim.answer(looked)
        assert private["ephemeral_for"] == kim.me["id"]
        chosen = await ada.answer(await ada.select(panel, "Whom?", "Kim"))
        assert chosen["content"] == "chose Kim"
        await ada.press(panel, "panel:start")
        changed = await ada.wait_for(lambda message: message["id"] == panel["id"] and message["content"] == "started by Ada")
        with pytest.raises(Refused, match="Start is disabled"):
            await ada.press(changed, "Start")
        assert all(message["content"] != "only you see this" for message in ada.messages())


async def test_a_press_nobody_handles_fails_for_the_person(box: Sandbox, start_bot: StartBot, ada: Person) -> None:
    async with start_bot() as bot:
        view = ui.View(timeout=None)
        view.add_item(ui.Button(label="Dead", custom_id="dead"))
        await bot.text_channel().send("a dead panel", view=view)
        view.stop()
        panel = await ada.wait_for(lambda message: message["content"] == "a dead panel")
        pressed = await ada.press(panel, "Dead")
        assert await ada.wait_for_failure(pressed) == "This interaction failed"


class Power(ui.DynamicItem[ui.Button[Any]], template=r"gs1:(?P<act>\w+):(?P<sid>[0-9a-z]+)"):
    def __init__(self, act: str, sid: str) -> None:
        super().__init__(ui.Button(label=f"{act.title()} server", custom_id=f"gs1:{act}:{sid}"))
        self.act, self.sid = act, sid

    @classmethod
    async def from_custom_id(cls, interaction: discord.Interaction, item: Any, match: re.Match[str]) -> "Power":
        return cls(match["act"], match["sid"])

    async def callback(self, interaction: discord.Interaction) -> Any:
        await interaction.response.send_message(f"{self.act} {self.sid}")


class Card(ui.LayoutView):
    def __init__(self) -> None:
        super().__init__(timeout=None)
        picture = ui.Thumbnail[Any]("attachment://map.png", description="a map")
        self.add_item(
            ui.Container(
                ui.Section(ui.TextDisplay("## Luanti"), ui.TextDisplay("running"), accessory=picture),
                ui.Separator(),
                ui.MediaGallery(discord.MediaGalleryItem("attachment://map.png")),
                ui.File("attachment://log.txt"),
                ui.ActionRow(Power("stop", "ab12"), Power("restart", "ab12")),
                accent_colour=0x3BA55C,
            )
        )


async def test_a_layout_view_survives_a_restart_by_dynamic_items(box: Sandbox, start_bot: StartBot, ada: Person) -> None:
    async with start_bot() as bot:
        files = [discord.File(io.BytesIO(b"\x89PNG"), "map.png"), discord.File(io.BytesIO(b"hello"), "log.txt")]
        sent = await bot.text_channel().send(view=Card(), files=files)
        assert sent.flags.components_v2
        card = await ada.wait_for(lambda message: "Luanti" in ada.text_of(message))
        gallery = next(item for item in card["components"][0]["components"] if item["type"] == 12)
        assert gallery["items"][0]["media"]["url"].startswith(box.url)
        assert [button["label"] for button in ada.buttons(card)] == ["Stop server", "Restart server"]
    async with start_bot(lambda bot: bot.add_dynamic_items(Power)):
        assert (await ada.answer(await ada.press(card, "Restart server")))["content"] == "restart ab12"


async def test_autocomplete_offers_what_the_bot_says(box: Sandbox, start_bot: StartBot, ada: Person) -> None:
    def set_up(bot: Bot) -> None:
        group = app_commands.Group(name="server", description="Servers")

        @group.command(description="Starts")
        async def start(
            interaction: discord.Interaction, server: str, force: bool = False, count: app_commands.Range[int, 1, 3] = 1
        ) -> None:
            await interaction.response.send_message(f"starting {server} {force} {count}")

        @start.autocomplete("server")
        async def complete(interaction: discord.Interaction, current: str) -> list[app_commands.Choice[str]]:
            names = ["luanti", "freeciv", "lugaru"]
            return [app_commands.Choice(name=name.title(), value=name) for name in names if name.startswith(current)]

        bot.tree.add_command(group)

    async with start_bot(set_up):
        assert await ada.autocomplete("server start", "server", "lu") == [
            {"name": "Luanti", "value": "luanti"}, {"name": "Lugaru", "value": "lugaru"},
        ]  # fmt: skip
        answer = await ada.answer(await ada.run("server start", server="luanti", force=True, count="2"))
        assert answer["content"] == "starting luanti True 2"
        assert answer["interaction_metadata"]["name"] == "server start"
        for wrong, words in (
            ({"options": {}}, "server is required"),
            ({"options": {"server": "x", "count": 4}}, "between 1 and 3"),
            ({"options": {"server": "x", "force": "maybe"}}, "True or False"),
            ({"options": {"server": "x", "speed": 1}}, "no option speed"),
        ):
            with pytest.raises(Refused, match=words):
                await ada.run("server start", **wrong)
        with pytest.raises(Refused, match="needs a subcommand: start"):
            await ada.run("server")
        with pytest.raises(Refused, match="no command /stop"):
            await ada.run("stop")


async def test_options_of_every_kind_arrive_resolved(box: Sandbox, start_bot: StartBot, ada: Person) -> None:
    def set_up(bot: Bot) -> None:
        @bot.tree.command(description="Takes everything")
        async def all_kinds(
            interaction: discord.Interaction,
            who: discord.Member,
            role: discord.Role,
            where: discord.TextChannel,
            file: discord.Attachment,
            ratio: float,
        ) -> None:
            content = await file.read()
            await interaction.response.send_message(
                f"{who.name} {role.name} {where.name} {content.decode()} {ratio} {who.resolved_permissions is not None}"
            )

    async with start_bot(set_up):
        asked = await ada.run("all_kinds", who="Kim", role="Player", where="console", file=Person.file("a.txt", b"abc"), ratio=0.5)
        assert (await ada.answer(asked))["content"] == "Kim Player console abc 0.5 True"


async def test_context_menus_run_on_messages_and_members(box: Sandbox, start_bot: StartBot, ada: Person) -> None:
    def set_up(bot: Bot) -> None:
        @bot.tree.context_menu(name="Quote This")
        async def quote(interaction: discord.Interaction, message: discord.Message) -> None:
            await interaction.response.send_message(f"> {message.content}")

        @bot.tree.context_menu(name="Greet")
        async def greet(interaction: discord.Interaction, member: discord.Member) -> None:
            await interaction.response.send_message(f"hi {member.name}")

    async with start_bot(set_up):
        said = await ada.say("general", "to be quoted")
        assert (await ada.answer(await ada.run("Quote This", target=said)))["content"] == "> to be quoted"
        assert (await ada.answer(await ada.run("Greet", target="Max")))["content"] == "hi Max"


async def test_commands_are_offered_by_permissions(box: Sandbox, start_bot: StartBot, ada: Person, kim: Person) -> None:
    def set_up(bot: Bot) -> None:
        @bot.tree.command(description="For managers")
        @app_commands.default_permissions(manage_guild=True)
        async def admin(interaction: discord.Interaction) -> None:
            await interaction.response.send_message("yes")

    async with start_bot(set_up):
        await ada.wait_until(lambda: [command["name"] for command in ada.commands] == ["admin"])
        assert kim.commands == []
        with pytest.raises(Refused, match="no command /admin"):
            await kim.run("admin")


async def test_latency_counts_towards_the_three_seconds(box: Sandbox, start_bot: StartBot, ada: Person) -> None:
    def set_up(bot: Bot) -> None:
        @bot.tree.command(description="Pongs")
        async def ping(interaction: discord.Interaction) -> None:
            await interaction.response.send_message("pong")

    async with start_bot(set_up):
        box.latency = 0.3
        await ada.answer(await ada.run("ping"))
        assert 0.3 <= box.acknowledged_after[-1] < 1.5


async def test_a_message_deleted_under_its_buttons_cannot_be_updated(box: Sandbox, start_bot: StartBot, ada: Person) -> None:
    seen: list[int] = []

    class Late(ui.View):
        @ui.button(label="Late", custom_id="late")
        async def late(self, interaction: discord.Interaction, button: ui.Button[Any]) -> None:
            assert interaction.message is not None
            await interaction.message.delete()
            try:
                await interaction.response.edit_message(content="changed")
            except discord.NotFound as error:
                seen.append(error.code)
                await interaction.response.send_message("it was gone", ephemeral=True)

    async with start_bot() as bot:
        await bot.text_channel().send("short-lived", view=Late(timeout=None))
        panel = await ada.wait_for(lambda message: message["content"] == "short-lived")
        assert (await ada.answer(await ada.press(panel, "Late")))["content"] == "it was gone"
        assert seen == [10008]
        assert all(message["content"] != "changed" for message in ada.messages())


async def test_callbacks_that_do_not_fit_are_refused(box: Sandbox, start_bot: StartBot, api: Api, ada: Person) -> None:
    caught: list[discord.Interaction] = []

    def set_up(bot: Bot) -> None:
        @bot.tree.command(description="Is answered by hand")
        async def raw(interaction: discord.Interaction) -> None:
            caught.append(interaction)

    async with start_bot(set_up):
        await ada.run("raw")
        await ada.wait_until(lambda: True)
        async with asyncio.timeout(2):
            while not caught:
                await asyncio.sleep(0.01)
        path = f"/interactions/{caught[0].id}/{caught[0].token}/callback"
        for body, place in (
            ({"type": 7, "data": {"content": "x"}}, "type"),
            ({"type": 8, "data": {"choices": []}}, "type"),
            ({"type": 5, "data": {"flags": 1 << 15}}, "data"),
            ({"type": 9, "data": {"custom_id": "x", "title": "x" * 46, "components": []}}, "data"),
            ({"type": 4, "data": {"content": "x" * 2001}}, "data"),
            ({}, "type"),
        ):
            refused = await api("POST", path, body)
            assert (refused.status, refused.body["code"]) == (400, 50035)
            assert place in refused.body["errors"]
        # a refused callback does not use up the one acknowledgement
        accepted = await api("POST", path + "?with_response=1", {"type": 4, "data": {"content": "by hand", "flags": 64}})
        assert accepted.body["interaction"]["response_message_ephemeral"] is True
        assert accepted.body["resource"]["message"]["content"] == "by hand"
        assert (await api("POST", path, {"type": 5})).body["code"] == 40060


MODALS = [
    (
        {
            "title": "x",
            "custom_id": "m",
            "components": [{"type": 1, "components": [{"type": 2, "style": 1, "label": "x", "custom_id": "b"}]}],
        },
        "0",
    ),
    (
        {
            "title": "x",
            "custom_id": "m",
            "components": [{"type": 18, "label": "x" * 46, "component": {"type": 4, "style": 1, "custom_id": "t"}}],
        },
        "0",
    ),
    (
        {
            "title": "x",
            "custom_id": "m",
            "components": [{"type": 18, "label": "x", "component": {"type": 3, "custom_id": "s", "options": []}}],
        },
        "0",
    ),
    (
        {
            "title": "x",
            "custom_id": "m",
            "components": [
                {"type": 18, "label": "x", "component": {"type": 21, "custom_id": "r", "options": [{"label": "a", "value": "a"}]}}
            ],
        },
        "0",
    ),
    ({"title": "x", "custom_id": "m", "components": [{"type": 17, "components": []}]}, "0"),
    ({"title": "x", "custom_id": "m", "components": [{"type": 10, "content": "x"}] * 6}, "_errors"),
]


@pytest.mark.parametrize(("data", "place"), MODALS)
async def test_bad_modals_are_refused(box: Sandbox, api: Api, ada: Person, general: str, data: Any, place: str) -> None:
    await api("PUT", f"/applications/{box.state.application_id}/commands", [{"name": "go", "description": "x"}])
    asked = await ada.run("go")
    born = box.world.interactions.get(asked)
    assert born is not None
    refused = await api("POST", f"/interactions/{asked}/{born.token}/callback", {"type": 9, "data": data})
    assert refused.body["code"] == 50035
    assert place in refused.body["errors"]["data"]["components"]
