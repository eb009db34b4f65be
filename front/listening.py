"""The questions of `aerie doctor` about what a program will listen on: its certificate, and whether its ports can be had.

A port is tried by binding it, for a moment. Nothing else is changed by asking.
"""

import asyncio
import socket
from pathlib import Path

from core.errors import NotConfigured
from core.tls import client_context, server_tls
from front.checks import PATIENCE, Finding
from setup.health import answers


async def certificate(section: str, pair: tuple[Path | None, Path | None], authority: Path | None) -> Finding:
    """Can the pair of files and the own authority be used?"""
    try:
        tls = await asyncio.to_thread(server_tls, *pair, section)
        await asyncio.to_thread(client_context, authority)
    except NotConfigured as error:
        return Finding(f"{section} TLS", error.message, error.hint or "Correct the files.")
    own = f", trusting {authority} as well" if authority else ""
    return Finding(f"{section} TLS", (f"{pair[0]} and its key are good" if tls else "none here: plain HTTP") + own)


async def http_port(subject: str, host: str, port: int) -> Finding:
    """Can the port be had, or does one of our programs have it already?"""
    taken = await asyncio.to_thread(_taken, host, port)
    if not taken:
        return Finding(subject, f"{host}:{port} is free")
    if await asyncio.to_thread(answers, port):
        return Finding(subject, f"{host}:{port} answers; so the program runs")
    return _in_use(subject, host, port, taken)


async def sftp_port(host: str, port: int) -> Finding:
    """Can SFTP's port be had, or does an SSH server have it already?"""
    taken = await asyncio.to_thread(_taken, host, port)
    if not taken:
        return Finding("SFTP port", f"{host}:{port} is free")
    greeting = await asyncio.to_thread(_greeting, port)
    if greeting.startswith(b"SSH-2.0-AsyncSSH") or greeting.startswith(b"SSH-2.0-Aerie"):
        return Finding("SFTP port", f"{host}:{port} answers; so the agent runs")
    return _in_use("SFTP port", host, port, taken)


def _taken(host: str, port: int) -> str:
    """Why the port cannot be had; empty when it can."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
            probe.listen(1)
    except OSError as error:
        return error.strerror or str(error)
    return ""


def _greeting(port: int) -> bytes:
    try:
        with socket.create_connection(("127.0.0.1", port), PATIENCE) as connection:
            return connection.recv(64)
    except OSError:
        return b""


def _in_use(subject: str, host: str, port: int, why: str) -> Finding:
    return Finding(subject, f"{host}:{port} cannot be had: {why}", f"Set another port, or end what holds it: ss -ltnp 'sport = :{port}'.")
