"""The chat page as a person uses it: what it loads, what it shows, and what keys and fingers do."""

import io

import discord
import pytest

from sandbox.app import Sandbox, SandboxConfig, running
from sandbox.person import Person
from tests.sandbox.clients import Bot
from tests.sandbox.page.bot import Card
from tests.sandbox.page.driver import Tab

pytestmark = pytest.mark.real

HOSTILE = (
    "<script>window.hacked = 1</script> <img src=x onerror='window.hacked = 1'> [press me](javascript:window.hacked=1) "
    "**<b onclick=hack()>** `<i>` <javascript:alert(1)> ||<svg onload=window.hacked=1>||"
    "\n```ansi\n\x1b[31m<script>window.hacked = 1</script>\n```"
)
MESSAGES = "document.querySelector('.messages')"


async def test_the_page_loads_without_complaint_and_asks_nobody_else(box: Sandbox, page: Tab, bot: Bot) -> None:
    embed = discord.Embed(title="Away", description="a picture elsewhere")
    embed.set_image(url="https://pictures.example.org/x.png")
    await bot.text_channel().send(embed=embed, file=discord.File(io.BytesIO(b"first line\nsecond line"), "some.log"))
    await page.sees("second line")
    await page.sees("not loaded, it lies outside this computer")
    assert page.complaints == []
    here = (box.url, box.url.replace("http", "ws", 1), "data:")
    assert [address for address in page.addresses if not address.startswith(here)] == []


async def test_hostile_text_stays_text_wherever_it_stands(page: Tab, bot: Bot, ada: Person) -> None:
    await ada.say("general", HOSTILE)
    embed = discord.Embed(title=HOSTILE[:200], description=HOSTILE, url="https://example.org")
    embed.add_field(name=HOSTILE[:200], value=HOSTILE)
    embed.set_footer(text=HOSTILE)
    embed.set_author(name=HOSTILE[:200])
    view: discord.ui.View = discord.ui.View(timeout=None)
    view.add_item(discord.ui.Button(label="<img src=x onerror=hack()>", custom_id="<b>"))
    await bot.text_channel().send(HOSTILE, embed=embed, view=view, file=discord.File(io.BytesIO(HOSTILE.encode()), "a.log"))
    await bot.text_channel().send(view=discord.ui.LayoutView(timeout=None).add_item(discord.ui.TextDisplay(HOSTILE)))
    await page.until(f"{MESSAGES}.querySelectorAll('.message').length === 3")
    await page.until(f"{MESSAGES}.querySelector('.file-text')?.textContent.includes('<script>')")
    assert await page.value("window.hacked") is None
    assert await page.value(f"{MESSAGES}.querySelectorAll('script, img, b[onclick], .message svg[onload]').length") == 0
    addresses = await page.value(f"[...{MESSAGES}.querySelectorAll('a')].map((one) => one.protocol)")
    assert set(addresses) <= {"http:", "https:"}
    assert "<script>window.hacked = 1</script>" in await page.value(f"{MESSAGES}.innerText")
    assert page.complaints == []


async def test_a_command_is_found_completed_and_run_by_keyboard_alone(page: Tab) -> None:
    await page.type("/rest")
    await page.until("document.querySelector('.suggest-row.active')?.innerText.includes('/server restart')")
    await page.press("Enter")
    await page.type("lua")
    await page.until("document.querySelector('.suggest-row.active')?.innerText.includes('Luanti')")
    await page.press("Enter", "Enter")
    await page.sees("luanti is running again (False)", ".messages")
    await page.sees("/server restart", ".message .context")
    assert await page.value("document.activeElement.tagName") == "TEXTAREA"
    assert page.complaints == []


async def test_a_command_with_a_missing_option_is_not_sent(box: Sandbox, page: Tab) -> None:
    sent = len(box.requests)
    await page.type("/server restart ")
    await page.until("document.querySelector('.pill.required input') === document.activeElement")
    await page.press("Escape", "Enter")
    await page.sees("This is required.", ".slash-note")
    await page.press("Escape")
    await page.until("document.activeElement === document.querySelector('textarea.field')")
    assert not [one for one in box.requests[sent:] if "callback" in one.path_template and (one.json_body or {}).get("type") != 8]


async def test_a_private_answer_is_marked_and_can_be_dismissed(page: Tab, kim: Person) -> None:
    await page.type("/secret ")
    await page.press("Enter")
    await page.sees("This is between us", ".messages")
    await page.sees("Only you can see this", ".messages")
    await page.click(".only-you .text-button")
    await page.until(f"!{MESSAGES}.innerText.includes('between us')")
    assert not [one for one in kim.messages() if "between us" in kim.text_of(one)]


async def test_a_button_edits_its_message_and_a_select_offers_its_options(page: Tab, bot: Bot) -> None:
    await bot.text_channel().send(view=Card())
    await page.click(".button", "Refresh")
    await page.sees("pressed 1 times", ".messages")
    await page.click(".select")
    await page.until("document.querySelector('dialog.picker .picker-row.active')")
    await page.press("ArrowDown", "Enter")
    await page.sees("Chose ['Lobby']", ".messages")
    assert page.complaints == []


async def test_a_press_nobody_answers_is_told_under_its_message(page: Tab, bot: Bot) -> None:
    await bot.text_channel().send(view=Card())
    await page.click(".button", "Silent")
    await page.until("document.querySelector('.button.danger[aria-busy]')")
    await page.until("document.querySelector('.message .failed')", timeout=8)
    assert await page.value("document.querySelector('.button.danger[aria-busy]')") is None


async def test_a_form_is_checked_filled_and_sent(page: Tab) -> None:
    await page.type("/form ")
    await page.press("Enter")
    await page.until("document.activeElement === document.querySelector('dialog.modal .text-input')")
    await page.press("Enter")
    await page.sees("This is required.", "dialog.modal")
    await page.type("save-all")
    await page.press("Enter")
    await page.until("!document.querySelector('dialog.modal')")
    await page.sees("Sent save-all to the console", ".messages")
    await page.type("/form ")
    await page.press("Enter")
    await page.until("document.querySelector('dialog.modal')")
    await page.press("Escape")
    await page.until("!document.querySelector('dialog.modal')")
    assert page.complaints == []


async def test_a_reply_shows_what_it_answers_and_may_leave_out_the_ping(page: Tab, bot: Bot) -> None:
    sent = await bot.text_channel().send("Live console of Luanti")
    await page.sees("Live console of Luanti", ".messages")
    await page.value(f"document.querySelector('.message[data-id=\"{sent.id}\"]').focus()")
    await page.type("r")
    await page.sees("Replying to", ".reply-bar")
    await page.click(".reply-bar .ping")
    await page.click("textarea.field")
    await page.type("/status")  # a line for the game: while replying, a slash is no command of the bot
    await page.press("Enter")
    await page.until("document.querySelector('.message.mine .context-text')?.innerText.includes('Live console')")
    assert [message.content for message in bot.heard if message.author.name == "Ada"] == [""]  # no ping: the words are not for the bot


async def test_another_person_sees_their_own_view(page: Tab) -> None:
    await page.type("/secret ")
    await page.press("Enter")
    await page.sees("This is between us", ".messages")
    await page.click(".segment", "Kim")
    await page.until("document.querySelector('textarea.field').placeholder.endsWith('as Kim')")
    assert "between us" not in await page.value(f"{MESSAGES}.innerText")
    await page.click("textarea.field")
    await page.type("hello from Kim")
    await page.press("Enter")
    await page.until("[...document.querySelectorAll('.message.mine')].at(-1)?.innerText.includes('hello from Kim')")


@pytest.mark.parametrize("width", [360, 390, 412])
async def test_a_phone_never_scrolls_sideways_and_keeps_the_composer_in_sight(
    box: Sandbox, tab: Tab, bot: Bot, ada: Person, width: int
) -> None:
    await tab.size(width, 780, phone=True)
    await tab.open(f"{box.url}/?as=Ada")
    await ada.say("general", "x" * 300 + f" {'word ' * 40} https://example.org/{'long' * 40}\n```\n{'y' * 400}\n```")
    await bot.text_channel().send(view=Card())
    await tab.sees("Refresh", ".messages")

    async def fits() -> None:
        assert await tab.value("document.documentElement.scrollWidth") <= width
        assert await tab.value("document.querySelector('.feed').scrollWidth <= document.querySelector('.feed').clientWidth")
        bottom = await tab.value("document.querySelector('.composer').getBoundingClientRect().bottom")
        assert 700 < bottom <= 780

    await fits()
    await tab.click(".slash-button")
    await tab.until("document.querySelectorAll('.suggest-row').length >= 3")
    await fits()
    small = await tab.value(
        "[...document.querySelectorAll('.head button, .composer button, .suggest-row, .message .button, .message .select')]"
        ".filter((one) => one.getClientRects().length && one.getBoundingClientRect().height < 40).map((one) => one.className)"
    )
    assert small == []
    await tab.click(".suggest-row", "/secret")
    await fits()
    await tab.click(".send")
    await tab.sees("This is between us", ".messages")
    await tab.click(".chip")
    await tab.click(".person-card", "Kim")
    await tab.until("document.querySelector('.chip').innerText.includes('Kim')")
    await tab.click("#menu")
    await tab.until("document.querySelector('.side').getBoundingClientRect().left === 0")
    await tab.click(".channel", "servers")
    await tab.until("document.querySelector('#channel-name').innerText === 'servers'")
    await fits()
    assert tab.complaints == []


async def test_the_page_comes_back_by_itself_when_the_sandbox_does(tab: Tab) -> None:
    async with running(SandboxConfig()) as first:
        await tab.open(f"{first.url}/?as=Kim")
        port = first.port
    await tab.sees("The sandbox does not answer")
    async with running(SandboxConfig(port=port)) as second, Person.connect(second.url, "Ada") as ada:
        await ada.say("general", "are you still there?")
        await tab.sees("are you still there?", ".messages", timeout=20)
        assert await tab.value("document.querySelector('#offline').hidden")
        assert await tab.value("document.querySelector('textarea.field').placeholder.endsWith('as Kim')")
