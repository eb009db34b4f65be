"""A console in a channel, with the unmodified discord.py client against the sandbox."""

import asyncio
import re

from aiohttp import ClientSession

from bot.workers.console_view import Pace
from bot.workers.transcript import Counts
from core.protocol.socket import ConsolePlace
from core.services.live import Live
from core.vocabulary import ServerState
from sandbox.app import SandboxConfig, running
from sandbox.person import Person
from tests.bot.workers.stage import QUICK, UUID, Guilds, Script, Stage, bot, row_for, stage


def whole(counts: Counts) -> bool:
    return counts.produced == counts.shown + counts.attached + counts.collapsed + counts.skipped


async def settled(scene: Stage, timeout: float = 15.0) -> Counts:
    """The counts once nothing is pending."""
    async with asyncio.timeout(timeout):
        while not scene.bridge.counts.produced or not whole(scene.bridge.counts):
            await asyncio.sleep(0.05)
    return scene.bridge.counts


async def test_lines_appear_in_one_message_that_is_edited() -> None:
    async with stage() as scene:
        scene.script.write("hello world")
        first = await scene.shows("hello world")
        scene.script.write("\x1b[92mgreen", "tick", "tick", "tick")
        again = await scene.shows("tick (×3)")
        assert again["id"] == first["id"] and len(scene.messages()) == 1
        assert "\x1b[1;32mgreen\x1b[0m" in again["content"]
        assert again["content"].startswith("**Luanti** · running · #1–#5 · <t:")
        assert await settled(scene) == Counts(produced=5, shown=3, collapsed=2)


async def test_a_quiet_console_is_not_edited() -> None:
    async with stage() as scene:
        scene.script.write("once")
        await scene.shows("once")
        await asyncio.sleep(2)
        assert sum(request.method == "PATCH" for request in scene.box.requests) <= 1


async def test_a_change_of_state_shows_without_any_line() -> None:
    async with stage() as scene:
        await scene.shows("running")
        scene.live[UUID] = Live(state=ServerState.STOPPING)
        await scene.shows("· stopping")


async def test_hostile_output_stays_in_its_block_and_pings_nobody() -> None:
    async with stage() as scene:
        scene.script.write(
            "@everyone @here <@1>",
            "``` out",
            "**bold** [x](http://evil) ||spoiler||",
            "\x1b[2J\x07\x00bell",
            "bad \udcff byte",
            "x" * 1_000_000,
        )
        message = await scene.shows("@everyone")
        assert not message["mention_everyone"] and not message["mentions"]
        assert message["content"].count("```") == 2
        assert "bell" in message["content"] and "bad \ufffd byte" in message["content"]
        assert len(message["content"]) <= 2000


async def test_lines_lost_on_the_way_are_told() -> None:
    async with stage() as scene:
        await scene.shows("Luanti")
        scene.script.write("before")
        await scene.shows("before")
        scene.script.lose(812)
        scene.script.write("after")
        message = await scene.shows("after")
        assert "shown 1 of 813 · 812 lines skipped (#2–#813)" in message["content"]
        assert (await settled(scene)).skipped == 812


async def test_a_deleted_message_is_posted_anew() -> None:
    async with stage() as scene:
        scene.script.write("one")
        first = await scene.shows("one")
        await scene.ada.operate("delete", channel_id=first["channel_id"], message_id=first["id"])
        scene.script.write("two")
        second = await scene.shows("two")
        assert second["id"] != first["id"] and "one" in second["content"]
        assert scene.guilds.rows[1].message_id == int(second["id"])


async def test_an_old_message_is_closed_and_posted_anew() -> None:
    async with stage(Pace(interval=0.3, look_every=0.1, repost_after=0.5)) as scene:
        scene.script.write("one")
        first = await scene.shows("one")
        await asyncio.sleep(0.6)
        scene.script.write("two")
        second = await scene.shows("two")
        assert second["id"] != first["id"]
        await scene.shows("goes on in the message below")
        assert scene.ada.buttons(scene.ada.message(first["id"])) == [] and scene.ada.buttons(second)


async def test_a_closed_channel_is_left_alone_and_the_owner_told_once() -> None:
    async with stage() as scene:
        scene.script.write("one")
        await scene.shows("one")
        scene.box.refuse("PATCH", "/channels/.*/messages/", 403, 50013, times=100)
        scene.script.write("two")
        async with asyncio.timeout(15):
            while not scene.bridge.broken:
                await asyncio.sleep(0.05)
        refused = sum(request.status == 403 for request in scene.box.requests)
        scene.script.write("three")
        await asyncio.sleep(2)
        assert refused == sum(request.status == 403 for request in scene.box.requests) == 1
        told = [request for request in scene.box.requests if request.json_body and "no longer show the console" in str(request.json_body)]
        assert len(told) == 1
        assert whole(scene.bridge.counts)


async def test_discords_own_failures_pass() -> None:
    async with stage() as scene:
        scene.script.write("one")
        await scene.shows("one")
        scene.box.refuse("PATCH", "/channels/.*/messages/", 400, 30046, times=1)
        scene.script.write("two")
        await scene.shows("two", timeout=14)
        assert not scene.bridge.broken and scene.bridge.writes.counts.rests == 1


async def test_a_restarted_bot_edits_the_message_it_finds() -> None:
    async with running(SandboxConfig()) as box:
        rows, script = Guilds({1: row_for(box)}), Script()
        async with bot(box, script, rows) as scene:
            script.write("before")
            first = await scene.shows("before")
        async with bot(box, script, rows, past=("before",)) as scene:
            script.write("afterwards")
            again = await scene.shows("afterwards")
            assert again["id"] == first["id"]
            assert "before\nafterwards" in again["content"] and "· #2 ·" in again["content"]
            assert scene.bridge.counts == Counts(produced=1, shown=1)
        assert box.rate_limit_hits == 0


async def test_the_last_lines_are_there_from_the_first_moment() -> None:
    async with stage(past=("[WARN] old one", "old two")) as scene:
        message = await scene.shows("old two")
        assert "\x1b[33m[WARN] old one\x1b[0m\nold two" in message["content"]
        assert len(scene.messages()) == 1 and sum(request.method == "PATCH" for request in scene.box.requests) == 0


async def test_a_lost_gateway_does_not_lose_the_console() -> None:
    async with stage() as scene:
        scene.script.write("one")
        first = await scene.shows("one")
        scene.box.drop_gateway(resumable=False)
        scene.script.write("two")
        assert (await scene.shows("two", timeout=15))["id"] == first["id"]


async def test_two_consoles_in_one_channel_ask_which_one_a_mention_means() -> None:
    async with stage() as scene:
        other = row_for(scene.box)
        other.id, other.server.name = 2, "Freeciv"
        scene.guilds.rows[2] = other
        await scene.bridge.attach(other)
        second = await scene.shows("Freeciv")
        assert scene.client.user is not None
        await scene.ada.say("console", f"<@{scene.client.user.id}> status")
        await scene.shows("Reply to the message of the one you mean")
        await scene.ada.say("console", "status", reply_to=second)
        async with asyncio.timeout(15):
            while not scene.console.typed:
                await asyncio.sleep(0.05)
        assert scene.console.typed == [("Ada", "status")]


async def test_a_reply_is_typed_at_the_console_as_its_member() -> None:
    async with stage() as scene:
        scene.script.write("ready")
        message = await scene.shows("ready")
        said = await scene.ada.say("console", "list players", reply_to=message)
        await scene.ada.wait_for(lambda one: one["id"] == said and bool(one.get("reactions")))
        assert scene.console.typed == [("Ada", "list players")]


async def test_a_mention_is_typed_at_the_only_console_of_the_channel() -> None:
    async with stage() as scene:
        await scene.shows("Luanti")
        assert scene.client.user is not None
        said = await scene.ada.say("console", f"<@{scene.client.user.id}> status")
        await scene.ada.wait_for(lambda one: one["id"] == said and bool(one.get("reactions")))
        assert scene.console.typed == [("Ada", "status")]


async def test_a_reply_that_comes_twice_is_typed_once() -> None:
    async with stage() as scene:
        message = await scene.shows("Luanti")
        scene.box.deliver_twice(1)
        said = await scene.ada.say("console", "once", reply_to=message)
        await scene.ada.wait_for(lambda one: one["id"] == said and bool(one.get("reactions")))
        await asyncio.sleep(0.3)
        assert scene.console.typed == [("Ada", "once")]


async def test_who_may_not_type_is_told_why() -> None:
    async with stage() as scene, Person.connect(scene.box.url, "Kim") as kim:
        message = await scene.shows("Luanti")
        said = await kim.say("console", "stop", reply_to=message)
        answer = await scene.shows("control.console")
        assert answer["message_reference"]["message_id"] == said
        assert scene.console.typed == []


async def test_a_reply_of_two_lines_or_without_ping_is_refused_with_a_reason() -> None:
    async with stage() as scene:
        message = await scene.shows("Luanti")
        await scene.ada.say("console", "one\ntwo", reply_to=message)
        await scene.shows("Send one line at a time.")
        await scene.ada.say("console", "silent", reply_to=message, ping=False)
        await scene.shows("@ ON")
        assert scene.console.typed == []


async def test_other_talk_in_the_channel_is_left_alone() -> None:
    async with stage() as scene:
        await scene.shows("Luanti")
        await scene.ada.say("console", "hello everybody")
        await asyncio.sleep(0.3)
        assert len(scene.messages()) == 2 and scene.console.typed == []


async def test_detaching_closes_the_message() -> None:
    async with stage() as scene:
        scene.script.write("one")
        await scene.shows("one")
        row = scene.guilds.rows.pop(1)
        await scene.bridge.detach(row)
        await scene.shows("no longer shown here")
        scene.script.write("two")
        await asyncio.sleep(0.5)
        assert all("two" not in message["content"] for message in scene.messages())
        assert whole(scene.bridge.counts)


async def test_an_unused_view_stops_and_a_reply_wakes_it() -> None:
    async with stage(Pace(interval=0.3, look_every=0.1, stop_after=1.0)) as scene:
        scene.script.write("one")
        await scene.shows("one")
        message = await scene.shows("stopped, nobody used it")
        scene.script.write("two")
        await scene.ada.say("console", "list", reply_to=message)
        await scene.shows("two")


async def test_a_flood_of_a_hundred_thousand_lines_is_accounted_and_earns_no_429() -> None:
    async with stage(QUICK) as scene:
        await scene.shows("Luanti")
        for start in range(0, 100_000, 100):
            scene.script.write(*(f"[{start + number}] {'WARN slow' if number == 50 else 'INFO fine'} {'x' * 70}" for number in range(100)))
            await asyncio.sleep(0.005)
        files = await scene.ada.wait_for(lambda message: bool(message["attachments"]), channel="console")
        counts = await settled(scene)
        assert counts.produced == 100_000 and counts.attached > 90_000, counts
        name = files["attachments"][0]["filename"]
        assert re.fullmatch(r"console-luanti-\d+-\d+\.log(\.gz)?", name), name
        assert " warn" in files["content"] and "INFO fine" not in files["content"]
        live = await scene.shows("[99999]")
        assert len(live["content"]) <= 2000
        if name.endswith(".log"):
            async with ClientSession() as session, session.get(files["attachments"][0]["url"]) as answer:
                lines = (await answer.text()).splitlines()
            first, last = map(int, re.findall(r"\d+", name))
            assert len(lines) == last - first + 1
            assert lines[0].startswith(f"[{first - 1}]") and lines[-1].startswith(f"[{last - 1}]")


async def test_after_a_restart_of_the_bot_a_console_goes_on_where_it_was() -> None:
    async with running(SandboxConfig()) as box:
        rows, script = Guilds({1: row_for(box)}), Script()
        script.boot = "count"
        async with bot(box, script, rows) as scene:
            script.write("one", "two")
            await scene.shows("two")
            assert await settled(scene) == Counts(produced=2, shown=2)
        assert (rows.rows[1].last_seq, rows.rows[1].boot) == (2, "count")
        async with bot(box, script, rows, past=("one", "two")) as scene:
            assert script.places == [None, ConsolePlace(after=2, boot="count")]
            script.write("said while it was away")
            script.lose(812)
            script.write("now")
            message = await scene.shows("now")
            assert "one\ntwo\nsaid while it was away\nnow" in message["content"]
            assert "812 lines skipped (#4–#815)" in message["content"]
            assert await settled(scene) == Counts(produced=814, shown=2, skipped=812)
        assert rows.rows[1].last_seq == 816
