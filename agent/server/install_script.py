"""One run of an egg's install script: its container made, listened to, ended within its limit, and removed whatever happens.

Answers nothing when the script succeeded; raises RuntimeFailure with its last lines when it did not. Never decides what follows.
"""

import asyncio
import contextlib
import errno
import shutil
from collections import deque
from collections.abc import Callable
from pathlib import Path

from agent.history.escapes import ANSI
from agent.runtime.installer import SCRIPT
from agent.runtime.runtime import Exit, Runtime
from agent.runtime.variables import environment
from agent.server.console import LineSplitter
from agent.server.install_log import InstallLog, masked
from agent.server.pulling import PullLogged
from core.clock import Clock
from core.config import AgentConfig
from core.errors import AerieError, DiskFull, ImageUnavailable, RuntimeFailure
from core.protocol.remote import InstallScript
from core.protocol.settings import Container, ServerConfiguration

WINDOW_SECONDS, WINDOW_LINES = 0.1, 100
"""Lines of a flood that are told; the log has all of them, up to its size."""
LONGEST_TOLD = 2048
TOLD_LAST, TOLD_WIDTH = 5, 200
"""Last lines that a failure quotes, and characters of each."""


class ScriptRun:
    """Run it once with `run`. `say` is told its output, line by line."""

    def __init__(
        self,
        configuration: ServerConfiguration,
        script: InstallScript,
        folder: Path,
        runtime: Runtime,
        config: AgentConfig,
        clock: Clock,
        say: Callable[[str], None],
    ) -> None:
        self._configuration = configuration
        self._uuid = configuration.settings.uuid
        self._script = script
        self._folder = folder
        self._runtime = runtime
        self._config = config
        self._clock = clock
        self._say = say
        self._scripts = scripts_of(config, self._uuid)
        self._environment, self._hidden = masked(environment(configuration.settings, config.system.timezone))
        self._splitter = LineSplitter()
        self._last: deque[str] = deque(maxlen=TOLD_LAST)
        self._window, self._told, self._untold = 0.0, 0, 0

    async def run(self) -> None:
        """From the image to the exit code. Raises AerieError."""
        try:
            log = await asyncio.to_thread(self._prepare)
            verdict = "It was ended before it was done."
            try:
                ended = await self._run(log)
                verdict = self._verdict(ended)
            except AerieError as error:
                verdict = str(error)
                raise
            finally:
                await asyncio.to_thread(log.close, verdict)
                await asyncio.to_thread(shutil.rmtree, self._scripts, ignore_errors=True)
        except OSError as error:
            if error.errno == errno.ENOSPC:
                raise DiskFull("The node's disk is full.", hint="Free space on the node, then install again.") from error
            raise RuntimeFailure(f"The installation could not be prepared: {error.strerror}.", hint="Look at the node's disk.") from error

    def _prepare(self) -> InstallLog:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._scripts.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        shutil.rmtree(self._scripts, ignore_errors=True)
        self._scripts.mkdir(mode=0o755)
        text = self._script.script.replace("\r\n", "\n")
        (self._scripts / SCRIPT).write_text(text, encoding="utf-8", newline="\n")
        (self._scripts / SCRIPT).chmod(0o644)
        log = InstallLog(log_file(self._config, self._uuid), self._config.install.log_size * 1024 * 1024)
        log.head(self._uuid, self._script.container_image, self._script.entrypoint, self._environment, self._clock.now())
        return log

    async def _run(self, log: InstallLog) -> Exit:
        image = self._script.container_image
        if not image.removeprefix("~"):
            raise ImageUnavailable("Its egg names no image for the install script.", hint="Correct the egg, then install again.")
        settings = self._configuration.settings.model_copy(update={"container": Container(image=image)})
        await self._runtime.ensure_image(self._configuration.model_copy(update={"settings": settings}), PullLogged(self._say))
        name = await self._runtime.create_installer(self._configuration, self._script, self._folder, self._scripts)
        try:
            return await self._listen(name, log)
        except TimeoutError as error:
            limit = self._config.install.timeout
            raise RuntimeFailure(
                f"The script was ended after {limit:.0f} s, its limit.{self._quoted()}", hint="Raise [install] timeout if it needs longer."
            ) from error
        finally:
            self._tell_untold()
            await self._remove(name)

    async def _listen(self, name: str, log: InstallLog) -> Exit:
        attachment = await self._runtime.attach(name)
        try:
            await self._runtime.start(name)
            async with asyncio.timeout(self._config.install.timeout):
                async for chunk in attachment.chunks():
                    await self._heard(self._splitter.feed(chunk), log)
                await self._heard(self._splitter.end(), log)
                return await self._runtime.wait(name)
        finally:
            await attachment.close()

    async def _heard(self, lines: list[str], log: InstallLog) -> None:
        if not lines:
            return
        shown = [self._shown(line) for line in lines]
        self._last.extend([text for line in shown[-50:] if (text := ANSI.sub("", line).strip())])
        await asyncio.to_thread(log.write, shown)
        for line in shown:
            self._tell(line)

    def _shown(self, line: str) -> str:
        """A progress bar is what it showed last; secrets are not shown."""
        line = line.rpartition("\r")[2]
        for secret in self._hidden:
            line = line.replace(secret, "•••")
        return line

    def _tell(self, line: str) -> None:
        now = self._clock.monotonic()
        if now - self._window >= WINDOW_SECONDS:
            self._tell_untold()
            self._window, self._told = now, 0
        if self._told >= WINDOW_LINES:
            self._untold += 1
            return
        self._told += 1
        self._say(line if len(line) <= LONGEST_TOLD else f"{line[:LONGEST_TOLD]} …")

    def _tell_untold(self) -> None:
        if self._untold:
            self._say(f"[… {self._untold} lines are left out here, the log on the node has them …]")
            self._untold = 0

    def _verdict(self, ended: Exit) -> str:
        if ended.code == 0:
            return "The script ended with code 0."
        if ended.oom_killed:
            raise RuntimeFailure(
                f"The script ran out of memory.{self._quoted()}", hint="Give the server, or [install] memory, more, then install again."
            )
        if ended.code is None:
            raise RuntimeFailure(
                f"The script's container was removed while it ran.{self._quoted()}", hint="Install again; somebody removed it on the node."
            )
        if not self._config.install.heed_exit_code:
            return f"The script ended with code {ended.code}, which this node does not heed."
        raise RuntimeFailure(
            f"The script ended with code {ended.code}.{self._quoted()}", hint="The install log on the node has all of it. Install again."
        )

    def _quoted(self) -> str:
        if not self._last:
            return " It said nothing."
        return " It said last: " + " ⏎ ".join(line if len(line) <= TOLD_WIDTH else f"{line[:TOLD_WIDTH]}…" for line in self._last)

    async def _remove(self, name: str) -> None:
        """What the engine cannot remove now goes before the next installation, or when the agent starts."""
        with contextlib.suppress(AerieError):
            await self._runtime.destroy(name)


def log_file(config: AgentConfig, uuid: str) -> Path:
    """Where the newest log of a server's installation is."""
    return (config.system.log_directory or config.system.root_directory / "logs") / "install" / f"{uuid}.log"


def notes_folder(config: AgentConfig) -> Path:
    return config.system.root_directory / "install"


def scripts_of(config: AgentConfig, uuid: str) -> Path:
    """Folder of a server's script while it runs; its parent is ours alone, so that nobody can be there first."""
    return notes_folder(config) / f"{uuid}.script"
