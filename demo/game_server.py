"""A small real game server for a demo on a machine without Docker: a guessing game over TCP with commands at its console.

    python -m demo.game_server --name luanti --port 30001

Players connect with any line-based client (`nc 127.0.0.1 30001`), give a name and guess a number. The console understands `help`, `list`,
`say`, `limit`, `kick` and `quit`. Must never be more than a stand-in: it uses the standard library and keeps nothing on disk.
"""

import argparse
import asyncio
import secrets
import signal
import sys

LONGEST_LINE = 512
LONGEST_NAME = 24


class Game:
    """Who plays, and the number to guess."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.players: dict[str, asyncio.StreamWriter] = {}
        self.limit = 100
        self.number = 0
        self.over = asyncio.Event()
        self.new_round()

    def new_round(self) -> None:
        """Think of another number."""
        self.number = 1 + secrets.randbelow(self.limit)

    async def play(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One player's connection, from hello to goodbye."""
        name = ""
        try:
            writer.write(f"Welcome to {self.name}. Your name? ".encode())
            name = (await reader.readline())[:LONGEST_NAME].decode(errors="replace").strip()
            if not name or not name.isprintable() or name in self.players:
                writer.write(b"That name cannot be used.\n")
                return
            self.players[name] = writer
            tell(f"{name} joined the game ({len(self.players)} playing)")
            writer.write(f"Guess a number from 1 to {self.limit}.\n".encode())
            while line := await reader.readline():
                writer.write(self.guess(name, line.decode(errors="replace").strip()).encode() + b"\n")
                await writer.drain()
        except (ConnectionError, ValueError):
            pass  # a player who vanished, or whose line was too long
        finally:
            if self.players.get(name) is writer:
                del self.players[name]
                tell(f"{name} left the game ({len(self.players)} playing)")
            writer.close()

    def guess(self, name: str, text: str) -> str:
        """The answer to one guess."""
        if not text.isdecimal():
            return "Digits, please."
        if int(text) != self.number:
            return "Higher." if int(text) < self.number else "Lower."
        tell(f"{name} guessed {self.number}")
        self.new_round()
        return "Right! I have thought of another."

    def command(self, line: str) -> None:
        """One line typed at the console."""
        word, _, rest = line.strip().partition(" ")
        match word:
            case "":
                pass
            case "help":
                tell("Commands: help, list, say WORDS, limit NUMBER, kick NAME, quit")
            case "list":
                tell(f"{len(self.players)} playing: {', '.join(sorted(self.players)) or 'nobody'}")
            case "say":
                for writer in self.players.values():
                    writer.write(f"[server] {rest}\n".encode())
                tell(f"[server] {rest}")
            case "limit" if rest.isdecimal() and 2 <= int(rest) <= 1_000_000:
                self.limit = int(rest)
                self.new_round()
                tell(f"Numbers now go up to {self.limit}")
            case "kick" if rest in self.players:
                self.players[rest].close()
            case "quit" | "stop":
                self.over.set()
            case _:
                tell(f"Unknown command '{line.strip()}'. Try 'help'.")


def tell(text: str) -> None:
    """One line at the console."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


async def serve(name: str, host: str, port: int) -> None:
    """Serve until `quit`, SIGINT or SIGTERM."""
    game = Game(name)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, game.over.set)
    console = asyncio.StreamReader(limit=1 << 16)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(console), sys.stdin)
    server = await asyncio.start_server(game.play, host, port, limit=LONGEST_LINE)
    tell(f"Server {name} listening on {host}:{port}")

    async def read_console() -> None:
        while line := await console.readline():
            game.command(line.decode(errors="replace"))

    async with server, asyncio.TaskGroup() as group:
        reading = group.create_task(read_console())
        await game.over.wait()
        reading.cancel()
        tell("Shutting down")
        for writer in list(game.players.values()):
            writer.close()


def main() -> int:
    """Entry: name, host and port are options."""
    parser = argparse.ArgumentParser(description="A small game server for Aerie's demo.")
    parser.add_argument("--name", default="demo")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args()
    try:
        asyncio.run(serve(options.name, options.host, options.port))
    except OSError as error:
        tell(f"Cannot listen on {options.host}:{options.port}: {error.strerror}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
