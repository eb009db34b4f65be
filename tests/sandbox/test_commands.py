"""Application commands: what Discord demands of them, ids that stay, limits."""

from typing import Any

import discord
import pytest
from discord import app_commands

from sandbox.app import Sandbox
from sandbox.person import Person
from tests.sandbox.clients import Api, StartBot


def command(**changes: Any) -> Any:
    return {"name": "go", "description": "Goes", **changes}


def option(**changes: Any) -> Any:
    return {"type": 3, "name": "what", "description": "What", **changes}


REFUSED = [
    ("capitals", command(name="Go"), "name", "APPLICATION_COMMAND_INVALID_NAME"),
    ("blank", command(name="go now"), "name", "APPLICATION_COMMAND_INVALID_NAME"),
    ("name too long", command(name="x" * 33), "name", "BASE_TYPE_BAD_LENGTH"),
    ("no description", {"name": "go"}, "description", "BASE_TYPE_REQUIRED"),
    ("description too long", command(description="x" * 101), "description", "BASE_TYPE_BAD_LENGTH"),
    ("26 options", command(options=[option(name=f"o{n}") for n in range(26)]), "options", "BASE_TYPE_MAX_LENGTH"),
    (
        "required after optional",
        command(options=[option(), option(name="b", required=True)]),
        "options.1",
        "APPLICATION_COMMAND_OPTIONS_REQUIRED_INVALID",
    ),
    ("same option twice", command(options=[option(), option()]), "options.1.name", "APPLICATION_COMMAND_OPTIONS_NAME_ALREADY_EXISTS"),
    ("option kind", command(options=[option(type=12)]), "options.0.type", "NUMBER_TYPE_MAX"),
    (
        "26 choices",
        command(options=[option(choices=[{"name": str(n), "value": str(n)} for n in range(26)])]),
        "options.0.choices",
        "BASE_TYPE_MAX_LENGTH",
    ),
    (
        "long choice",
        command(options=[option(choices=[{"name": "x" * 101, "value": "x"}])]),
        "options.0.choices.0.name",
        "BASE_TYPE_BAD_LENGTH",
    ),
    (
        "autocomplete and choices",
        command(options=[option(autocomplete=True, choices=[{"name": "x", "value": "x"}])]),
        "options.0.autocomplete",
        "APPLICATION_COMMAND_OPTIONS_AUTOCOMPLETE_INVALID",
    ),
    (
        "autocomplete of a user",
        command(options=[option(type=6, autocomplete=True)]),
        "options.0.autocomplete",
        "APPLICATION_COMMAND_OPTIONS_AUTOCOMPLETE_INVALID",
    ),
    (
        "subcommand beside option",
        command(options=[option(type=1, name="a"), option()]),
        "options.1.type",
        "APPLICATION_COMMAND_OPTIONS_TYPE_INVALID",
    ),
    (
        "too deep",
        command(options=[option(type=2, options=[option(type=2)])]),
        "options.0.options.0.type",
        "APPLICATION_COMMAND_OPTIONS_TYPE_INVALID",
    ),
    ("number too large", command(options=[option(type=4, max_value=2**53 + 1)]), "options.0.max_value", "NUMBER_TYPE_MAX"),
    ("unknown locale", command(name_localizations={"xx": "go"}), "name_localizations.xx", "LOCALE_INVALID"),
    ("menu with description", {"name": "Go", "type": 2, "description": "x"}, "description", "APPLICATION_COMMAND_DESCRIPTION_NOT_ALLOWED"),
    ("kind", command(type=9), "type", "BASE_TYPE_CHOICES"),
]


@pytest.mark.parametrize(("body", "path", "code"), [pytest.param(*case[1:], id=case[0]) for case in REFUSED])
async def test_a_command_is_refused_at_its_place(box: Sandbox, api: Api, body: Any, path: str, code: str) -> None:
    answer = await api("PUT", f"/applications/{box.state.application_id}/commands", [body])
    assert (answer.status, answer.body["code"]) == (400, 50035)
    errors = answer.body["errors"]["0"]
    for part in path.split("."):
        errors = errors[part]
    assert code in [one["code"] for one in errors["_errors"]]


async def test_more_than_eight_thousand_characters_are_refused(box: Sandbox, api: Api) -> None:
    choices = [{"name": f"{n:02}" + "x" * 90, "value": f"{n:02}" + "y" * 90} for n in range(25)]
    body = command(options=[option(name=f"o{n}", choices=choices) for n in range(2)])
    answer = await api("PUT", f"/applications/{box.state.application_id}/commands", [body])
    assert answer.body["errors"]["0"]["_errors"][0]["code"] == "APPLICATION_COMMAND_TOO_LARGE"


async def test_names_may_use_other_scripts(box: Sandbox, api: Api) -> None:
    body = [command(name=name) for name in ("größe", "サーバー", "start-now", "เริ่ม", "l'été")]
    assert (await api("PUT", f"/applications/{box.state.application_id}/commands", body)).status == 200


async def test_counts_and_names_are_limited(box: Sandbox, api: Api) -> None:
    path = f"/applications/{box.state.application_id}/commands"
    assert (await api("PUT", path, [command(name=f"c{n}") for n in range(101)])).body["code"] == 30032
    twice = await api("PUT", path, [command(), command()])
    assert twice.body["errors"]["1"]["name"]["_errors"][0]["code"] == "APPLICATION_COMMANDS_DUPLICATE_NAME"
    for start in (0, 100):
        assert (await api("PUT", path, [command(name=f"c{n}") for n in range(start, start + 100)])).status == 200
    assert (await api("PUT", path, [command(name="one-more")])).body["code"] == 30034


async def test_a_command_keeps_its_id_while_its_name_stays(box: Sandbox, api: Api) -> None:
    path = f"/applications/{box.state.application_id}/commands"
    first = (await api("PUT", path, [command(), command(name="stop")])).body
    second = (await api("PUT", path, [command(description="Goes faster"), command(name="stop"), command(name="new")])).body
    assert [one["id"] for one in second[:2]] == [one["id"] for one in first]
    assert second[0]["version"] != first[0]["version"]
    assert second[1]["version"] == first[1]["version"]
    made = await api("POST", path, command(name="fourth"))
    assert made.status == 201
    assert (await api("POST", path, command(name="fourth", description="Again"))).status == 200
    edited = await api("PATCH", f"{path}/{made.body['id']}", {"name": "fifth"})
    assert (edited.body["name"], edited.body["description"]) == ("fifth", "Again")
    assert (await api("DELETE", f"{path}/{made.body['id']}")).status == 204
    assert (await api("GET", f"{path}/{made.body['id']}")).body["code"] == 10063


async def test_a_guild_has_its_own_commands(box: Sandbox, start_bot: StartBot, ada: Person) -> None:
    async with start_bot() as bot:
        guild = bot.guilds[0]

        @bot.tree.command(description="Only here", guild=guild)
        async def local(interaction: discord.Interaction) -> None:
            await interaction.response.send_message(f"from {interaction.guild.name if interaction.guild else None}")

        await bot.tree.sync(guild=guild)
        assert (await ada.answer(await ada.run("local")))["content"] == "from The Aerie"
        assert await bot.tree.fetch_commands() == []
        fetched = await bot.tree.fetch_commands(guild=guild)
        assert [one.name for one in fetched] == ["local"]


async def test_a_failed_sync_names_the_offending_option(start_bot: StartBot) -> None:
    async with start_bot(sync=False) as bot:

        @bot.tree.command(description="Offers a choice")
        @app_commands.choices(what=[app_commands.Choice(name="x" * 101, value="x")])
        async def bad(interaction: discord.Interaction, what: str) -> None: ...

        with pytest.raises(app_commands.CommandSyncFailure, match="what"):
            await bot.tree.sync()
