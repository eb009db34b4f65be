"""Discord's client at its end."""

import gc

from tests.bot.workers.stage import stage


async def test_what_a_command_says_after_the_client_is_closed_is_dropped() -> None:
    async with stage() as scene:
        await scene.client.close()
        scene.client.dispatch("guild_available", object())
        gc.collect()  # a coroutine that nobody ran would complain
