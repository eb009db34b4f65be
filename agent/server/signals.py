"""An egg's stop value as a signal's name. Wings gets `^C` wrong (it kills); here every common spelling means what its author meant."""

import signal

_NAMES = frozenset(name.name.removeprefix("SIG") for name in signal.Signals)
_WORDS = {"^C": "INT", "C": "INT", "^^C": "INT", "INTERRUPT": "INT", "TERMINATED": "TERM", "KILLED": "KILL", "ABORTED": "ABRT"}


def signal_name(value: str | None) -> str:
    """`SIGINT` for ^C, C, INT, sigint, interrupt …; SIGTERM for what nobody knows."""
    word = (value or "").strip().upper()
    word = _WORDS.get(word, word.removeprefix("SIG"))
    return f"SIG{word if word in _NAMES else 'TERM'}"
