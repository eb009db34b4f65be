"""What kind of file it is, told from its first bytes: the kinds that panels and people care about, the rest text or octets.

Names are those that Wings answers (it sniffs, too), so that a panel knows what can be edited and what can be unpacked.
"""

import codecs

LOOKED_AT = 3072
"""Bytes."""
FOLDER, UNKNOWN, TEXT = "inode/directory", "application/octet-stream", "text/plain; charset=utf-8"
_BEGINNINGS: tuple[tuple[bytes, str], ...] = (
    (b"\x1f\x8b", "application/gzip"),
    (b"BZh", "application/x-bzip2"),
    (b"\xfd7zXZ\x00", "application/x-xz"),
    (b"\x28\xb5\x2f\xfd", "application/zstd"),
    (b"7z\xbc\xaf\x27\x1c", "application/x-7z-compressed"),
    (b"Rar!\x1a\x07", "application/x-rar-compressed"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"\x7fELF", "application/x-elf"),
    (b"%PDF-", "application/pdf"),
    (b"SQLite format 3\x00", "application/vnd.sqlite3"),
    (b"OggS", "application/ogg"),
    (b"ID3", "audio/mpeg"),
    (b"\xca\xfe\xba\xbe", "application/x-java-applet; charset=binary"),
)
_ZIP = (b"PK\x03\x04", b"PK\x05\x06")


def kind(beginning: bytes) -> str:
    """A MIME type for a regular file that begins with these bytes (`LOOKED_AT` are enough)."""
    for magic, name in _BEGINNINGS:
        if beginning.startswith(magic):
            return name
    if beginning.startswith(_ZIP):
        return "application/jar" if beginning[30:39] == b"META-INF/" else "application/zip"
    if beginning[257:262] == b"ustar":
        return "application/x-tar"
    return _worded(beginning)


def _worded(beginning: bytes) -> str:
    if b"\0" in beginning:
        return UNKNOWN
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(beginning)  # a letter may be cut at the end
    except UnicodeDecodeError:
        return UNKNOWN
    start = text.lstrip("\ufeff \t\r\n")[:64].lower()
    if start.startswith("<?xml"):
        return "text/xml; charset=utf-8"
    if start.startswith(("<!doctype html", "<html")):
        return "text/html; charset=utf-8"
    if start.startswith("<svg"):
        return "image/svg+xml"
    return TEXT
