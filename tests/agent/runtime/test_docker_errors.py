"""What Docker's refusals mean to people."""

import pytest

from agent.runtime.docker_errors import meaning


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("driver failed: listen tcp4 10.9.9.9:25565: bind: cannot assign requested address", "is not this node's"),
        ("Requested CPUs are not available - requested 7, available: 0-1", "threads that this node does not have"),
        ("write /x: no space left on device", "disk is full"),
        ("Bind for 0.0.0.0:25565 failed: port is already allocated", "Port 25565 is already taken"),
    ],
)
def test_a_refusal_is_told_in_words(words: str, said: str) -> None:
    error = meaning(500, words, "")
    assert said in error.message
    assert error.hint
