"""Who asks, behind proxies."""

import pytest

from core.addresses import caller, networks

PROXIES = ["10.0.0.0/8", "fd00::1"]


@pytest.mark.parametrize(
    ("peer", "said", "who"),
    [
        ("203.0.113.9", ["198.51.100.1"], "203.0.113.9"),  # no proxy of ours: the header is worth nothing
        ("10.0.0.2", ["198.51.100.1"], "198.51.100.1"),
        ("10.0.0.2", ["1.1.1.1, 198.51.100.1"], "198.51.100.1"),  # what the caller wrote himself stands in front
        ("10.0.0.2", ["1.1.1.1", "198.51.100.1, 10.0.0.3"], "198.51.100.1"),
        ("::ffff:10.0.0.2", ["2001:db8::7"], "2001:db8::7"),
        ("fd00::1", ["198.51.100.1"], "198.51.100.1"),
        ("10.0.0.2", ["unknown"], "10.0.0.2"),
        ("10.0.0.2", [], "10.0.0.2"),
        ("10.0.0.2", ["10.0.0.4"], "10.0.0.4"),
        ("", ["198.51.100.1"], ""),
    ],
)
def test_the_last_address_that_is_no_proxy_of_ours_counts(peer: str, said: list[str], who: str) -> None:
    assert caller(peer, said, networks(PROXIES)) == who
