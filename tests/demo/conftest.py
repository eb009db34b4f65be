"""What the demo's tests share."""

import pytest

from demo import cast


@pytest.fixture(autouse=True)
def any_ports(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other tests run beside these: no port is preferred."""
    monkeypatch.setattr(cast, "ports", lambda named=cast.ports: dict.fromkeys(named(), 0))
