"""Who counts as one customer."""

import pytest

from core.addresses import household


@pytest.mark.parametrize(
    ("ip", "one"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("nonsense", "nonsense"),
    ],
)
def test_a_household_is_an_address_or_a_64(ip: str, one: str) -> None:
    assert household(ip) == one
