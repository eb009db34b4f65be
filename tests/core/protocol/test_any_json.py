"""Whatever JSON a peer sends, a wire type reads it or raises pydantic's ValidationError; nothing else escapes."""

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from core.protocol.remote import ActivityEntry
from core.protocol.settings import Build, Container, EggReference, ProcessConfiguration, Replacement, ServerSettings, Wire
from core.protocol.signed import SignedClaims
from core.protocol.socket import Frame, SocketClaims, StatsFrame

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
KINDS: list[type[Wire]] = [
    ServerSettings,
    ProcessConfiguration,
    Build,
    Container,
    EggReference,
    Replacement,
    ActivityEntry,
    Frame,
    SignedClaims,
    SocketClaims,
    StatsFrame,
]


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_any_body_is_read_or_refused(kind: type[Wire], data: st.DataObject) -> None:
    body: Any = data.draw(st.fixed_dictionaries({}, optional=dict.fromkeys(kind.model_fields, ANYTHING)) | ANYTHING)
    with suppress(ValidationError):
        kind.model_validate(body)


@pytest.mark.parametrize("kind", KINDS)
@given(text=st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(kind: type[Wire], text: bytes) -> None:
    with suppress(ValidationError):
        kind.model_validate_json(text)
