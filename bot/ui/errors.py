"""Any failure to one sentence that only the asker sees: what happened and what to do. The only place that does this for Discord.

Unknown failures get an incident id, shown to the person and written beside the trace into the log. Must never raise.
"""

import logging
import secrets

import discord
from discord import app_commands

from bot.client import AerieClient
from bot.ui.text import CONTENT, clip, sentence
from core.errors import AerieError

log = logging.getLogger(__name__)

OLD_PANEL = "This panel is from an older version of Aerie. Ask for a new one with `/server info`."
OLD_FORM = "This form is from an older version of Aerie. Please open it again."
_TOO_LATE = {10062, 40060, 10008, 10015, 50027}
"""Unknown interaction, already acknowledged, message or webhook gone, token expired: nobody is left to tell."""


def sentence_of(error: BaseException) -> str:
    """The words for a failure, at most one message long."""
    cause = unwrapped(error)
    if isinstance(cause, AerieError):
        words = f"{sentence(cause.message)} {sentence(cause.hint)}".strip()
    elif isinstance(cause, (app_commands.CommandNotFound, app_commands.CommandSignatureMismatch)):
        words = "Discord still shows an older version of this command. Try again in a minute, or restart your Discord app."
    elif isinstance(cause, app_commands.TransformerError):
        words = f"{sentence(f'`{clip(str(cause.value), 80)}` cannot be used here')} Choose one of the suggestions."
    elif isinstance(cause, discord.RateLimited):
        words = f"Discord asks us to slow down. Try again in {cause.retry_after:.0f} s."
    elif isinstance(cause, discord.Forbidden):
        words = "Discord does not let me do that here. Whoever manages this community can give me View Channel and Send Messages here."
    elif isinstance(cause, TimeoutError):
        words = "That took too long and was given up. Try again in a moment."
    else:
        incident = secrets.token_hex(4)
        log.error("incident %s", incident, exc_info=cause)
        words = f"Something went wrong on our side (incident `{incident}`). Try again; if it stays, show this id to whoever runs Aerie."
    return clip(words, CONTENT)


def unwrapped(error: BaseException) -> BaseException:
    """The failure inside discord.py's wrapping."""
    while True:
        if isinstance(error, app_commands.CommandInvokeError):
            error = error.original
        elif isinstance(error, app_commands.TransformerError) and isinstance(error.__cause__, AerieError):
            error = error.__cause__
        else:
            return error


async def tell(interaction: discord.Interaction[AerieClient], error: BaseException) -> None:
    """Tell the asker, as the first answer or after it. Expired and answered interactions are left alone."""
    if interaction.type is discord.InteractionType.autocomplete:
        log.warning("an autocompletion failed", exc_info=unwrapped(error))
        return
    if isinstance(cause := unwrapped(error), discord.HTTPException) and cause.code in _TOO_LATE:
        log.info("an interaction could not be answered any more: %s", cause)
        return
    await say(interaction, sentence_of(error))


async def say(interaction: discord.Interaction[AerieClient], words: str) -> None:
    """One sentence that only the asker sees, whatever was answered before."""
    nobody = discord.AllowedMentions.none()
    try:
        if not interaction.response.is_done():
            await interaction.response.send_message(words, ephemeral=True, allowed_mentions=nobody)
        elif interaction.response.type is discord.InteractionResponseType.deferred_channel_message:
            await interaction.edit_original_response(content=words, allowed_mentions=nobody)
        else:
            await interaction.followup.send(words, ephemeral=True, allowed_mentions=nobody)
    except (discord.HTTPException, discord.InteractionResponded) as failure:
        log.info("an answer could not be given: %s", failure)
