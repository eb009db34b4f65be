"""asyncssh's connection and channel with a shorter way for data to a client: what the base classes do for every packet, done once.

Per packet the base classes send an empty MSG_IGNORE first (a guard for CBC ciphers, which are not offered here), copy the data six times
and offer it to a log. With AES-GCM none of that is needed: slices of what was written go into one buffer that is sealed and sent. All else,
and every other cipher, takes the base classes' way; where they keep a count, it is kept here too. Written against asyncssh 2.24.
"""

import os
import time

import asyncssh
from asyncssh.encryption import GCMEncryption

_DATA = 94
"""MSG_CHANNEL_DATA (RFC 4254)."""
_ROLLOVER = 0xFFFFFFFF


class Channel(asyncssh.SSHServerChannel[bytes]):
    """Cuts what is written into packets without copying it."""

    def write(self, data: bytes, datatype: int | None = None) -> None:
        """Raises BrokenPipeError when the channel is closed."""
        if self._send_state != "open":
            raise BrokenPipeError("Channel not open for sending")
        if data:
            self._send_buf.append((memoryview(data), datatype))  # type: ignore[arg-type]
            self._send_buf_len += len(data)
            self._flush_send_buf()

    def _flush_send_buf(self) -> None:
        connection = self._conn
        assert isinstance(connection, Connection)
        while self._send_buf and self._send_window:
            most = min(self._send_window, self._send_pktsize)
            data, datatype = self._send_buf[0]
            if len(data) > most:
                self._send_buf[0] = (data[most:], datatype)
                data = data[:most]
            else:
                del self._send_buf[0]
            self._send_buf_len -= len(data)
            self._send_window -= len(data)
            assert self._send_chan is not None
            connection.send_data(self._send_chan, data, self)
        if self._send_paused or self._send_buf_len > self._send_high_water:
            self._pause_resume_writing()
        if not self._send_buf and self._send_state != "open":
            super()._flush_send_buf()


class Connection(asyncssh.SSHServerConnection):
    """Seals channel data in one go."""

    def create_server_channel(
        self, encoding: str | None = None, errors: str = "strict", window: int = 0, max_pktsize: int = 0
    ) -> "asyncssh.SSHServerChannel[bytes]":
        return Channel(
            self, self._loop, False, False, False, 0, 0, None, "strict", window or self._window, max_pktsize or self._max_pktsize
        )

    def send_data(self, channel: int, data: bytes | bytearray | memoryview, owner: Channel) -> None:
        """One packet of data to a channel, its number as the client counts."""
        head = b"%c%b%b" % (_DATA, channel.to_bytes(4, "big"), len(data).to_bytes(4, "big"))
        sealing = self._send_encryption
        if not self._may_shorten() or not isinstance(sealing, GCMEncryption):
            self.send_packet(_DATA, head[1:], bytes(data), handler=owner)
            return
        length = len(head) + len(data)
        padding = -(self._send_enchdrlen + length) % self._send_blocksize
        if padding < 4:
            padding += self._send_blocksize
        body = b"".join((padding.to_bytes(1, "big"), head, data, os.urandom(padding)))
        sealed, mac = sealing.encrypt_packet(self._send_seq, len(body).to_bytes(4, "big"), body)
        self._send(sealed)
        self._send(mac)
        self._send_seq = (self._send_seq + 1) & _ROLLOVER
        self._rekey_bytes_sent += len(body)

    def _may_shorten(self) -> bool:
        """Not while keys are exchanged or due to be, nor before the sign-in, nor with compression."""
        return (
            self._kex_complete
            and self._auth_complete
            and not self._compressor
            and self._rekey_bytes_sent < self._rekey_bytes
            and not (self._rekey_seconds and time.monotonic() >= self._rekey_time)
        )
