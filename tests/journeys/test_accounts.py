"""Accounts and the activity log from Discord: commands, buttons and the form, through the sandbox, the bot and a node."""

import re

from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from bot.app import Bot
from core.errors import Forbidden
from core.protocol.remote import SftpAuth
from core.services.members import Described
from sandbox.person import Person
from tests.fakes.node import FakeNode
from tests.journeys.stage import SYSTEM, Stage, until
from tests.journeys.test_power import says


def password_in(text: str) -> str:
    found = re.search(r"\|\|`(\w+)`\|\|", text)
    assert found is not None, text
    return found[1]


async def test_a_member_gets_a_password_that_works_and_can_renew_it(stage: Stage, bot: Bot, node: FakeNode, ada: Person) -> None:
    await stage.server(bot, node, "luanti")
    made = stage.servers["luanti"]
    (row,) = await bot.services.nodes.all()
    answer = await ada.answer(await ada.run("account sftp", "general"), says(ada, "Password"))
    assert answer["ephemeral_for"] == ada.me["id"]
    text = ada.text_of(answer)
    assert f"user name `ada.{made.short}`" in text
    assert "host `127.0.0.1`, port `2022`" in text
    first = password_in(text)
    sign_in = bot.services.sign_ins.sftp
    assert (await sign_in(row, SftpAuth(username=f"ada.{made.short}", password=first, ip="203.0.113.9:1"))).permissions == ["*"]

    await ada.press(answer, "New password")
    await ada.wait_for(lambda m: m["id"] == answer["id"] and says(ada, "||")(m) and first not in ada.text_of(m))
    second = password_in(ada.text_of(ada.message(answer["id"])))
    await until(lambda: node.farewells != [], "the node to hear of it")
    await sign_in(row, SftpAuth(username=f"ada.{made.short}", password=second, ip="203.0.113.9:1"))
    await ada.press(answer, "Revoke")
    await ada.wait_for(lambda m: m["id"] == answer["id"] and says(ada, "You have no password now")(m))
    try:
        await sign_in(row, SftpAuth(username=f"ada.{made.short}", password=second, ip="203.0.113.9:1"))
    except Forbidden:
        return
    raise AssertionError("a revoked password was taken")


async def test_roles_are_asked_of_discord_when_nobody_interacts(stage: Stage, bot: Bot, node: FakeNode, ada: Person, cleo: Person) -> None:
    guild = next(iter(stage.box.state.guilds.values()))
    ids = {person["name"]: int(person["id"]) for person in ada.people}
    ben = await bot.services.members.discord.describe(int(guild.id), ids["Ben"])
    assert isinstance(ben, Described)
    assert len(ben.roles) == 3  # @everyone too
    assert not ben.admin
    owner = await bot.services.members.discord.describe(int(guild.id), ids["Ada"])
    assert owner is not None
    assert owner.admin
    assert await bot.services.members.discord.describe(int(guild.id), 999) is None
    await cleo.answer(await cleo.run("server list", "general"))
    members = next(role.id for role in guild.roles.values() if role.name == "Members")
    for _ in range(300):
        if ids["Cleo"] in await bot.services.members.holders(int(guild.id), int(members)):
            return
        await bot.client.clock.sleep(0.05)
    raise AssertionError("Cleo's roles were not remembered")


async def test_keys_are_pasted_listed_and_removed(stage: Stage, bot: Bot, ada: Person) -> None:
    key = ed25519.Ed25519PrivateKey.generate().public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    asked = await ada.run("account ssh-key add", "general")
    form = await ada.wait_for_modal(interaction_id=asked)
    sent = await ada.submit({"Name": "", "Public key": f"{key} ada@nest"}, form)
    assert "ada@nest" in ada.text_of(await ada.answer(sent, says(ada, "SHA256:")))
    asked = await ada.run("account ssh-key add", "general")
    again = await ada.submit({"Public key": key}, await ada.wait_for_modal(interaction_id=asked))
    assert "already" in ada.text_of(await ada.answer(again))
    assert "ssh-ed25519" in ada.text_of(await ada.answer(await ada.run("account ssh-key list", "general")))
    (choice,) = await ada.autocomplete("account ssh-key remove", "key", "nest", "general")
    gone = await ada.answer(await ada.run("account ssh-key remove", "general", key=choice["value"]))
    assert "no longer yours" in ada.text_of(gone)
    info = ada.text_of(await ada.answer(await ada.run("account info", "general")))
    assert "SSH keys: 0" in info
    assert "`ada`" in info


async def test_the_log_is_read_page_by_page_even_after_a_restart(stage: Stage, node: FakeNode, ada: Person, cleo: Person) -> None:
    async with stage.bot() as bot:
        await stage.server(bot, node, "luanti")
        for n in range(25):
            await bot.services.activity.write(
                SYSTEM, "server:console.command", stage.servers["luanti"], metadata={"command": f"line {n:02}"}
            )
        first = await ada.answer(await ada.run("activity", "general", server="luanti"), says(ada, "line 24", "typed at the console"))
        assert first["ephemeral_for"] == ada.me["id"]
        assert "line 14" not in ada.text_of(first)
        assert "line" not in ada.text_of(await ada.answer(await ada.run("activity", "general", event="server:create")))
        refused = cleo.text_of(await cleo.answer(await cleo.run("activity", "general", server="luanti")))
        assert "activity.read" in refused
        nothing = cleo.text_of(await cleo.answer(await cleo.run("activity", "general")))
        assert "line" not in nothing
        names = await ada.autocomplete("activity", "event", "typed", "general")
        assert [one["value"] for one in names] == ["server:console.command"]
    async with stage.bot():
        await ada.press(first, "Older")
        await ada.wait_for(lambda m: m["id"] == first["id"] and says(ada, "line 14", "line 05")(m))
        await ada.press(first, "Newer")
        await ada.wait_for(lambda m: m["id"] == first["id"] and says(ada, "line 24")(m))
