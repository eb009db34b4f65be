"""The wire, field for field: what Wings and a stock panel write (tests/golden) is read by our types, and written again the same."""

import json
from pathlib import Path
from typing import Any

import pytest

from core.protocol.agent import (
    CommandsRequest,
    CreateServer,
    Deauthorize,
    DenyRequest,
    ErrorBody,
    InstallLogs,
    LogsResponse,
    PowerRequest,
    ServerDescription,
    SystemIps,
    SystemV1,
    SystemV2,
    TokenRenewal,
    UpdateResponse,
    Utilization,
)
from core.protocol.remote import ActivityReport, InstallReport, InstallScript, RemoteError, ServerPage, SftpAuth, SftpGrant
from core.protocol.settings import ServerConfiguration, Wire
from core.protocol.signed import SignedClaims
from core.protocol.socket import Frame, SocketClaims, StatsFrame

GOLDEN = Path(__file__).parents[2] / "golden"

BODIES: dict[str, type[Wire]] = {
    "wings_system_v1": SystemV1,
    "wings_system_v2": SystemV2,
    "wings_server": ServerDescription,
    "wings_create": CreateServer,
    "wings_power": PowerRequest,
    "wings_commands": CommandsRequest,
    "wings_logs": LogsResponse,
    "wings_logs_empty": LogsResponse,
    "wings_deny": DenyRequest,
    "wings_update_applied": UpdateResponse,
    "wings_error": ErrorBody,
    "wings_stats": StatsFrame,
    "wings_install_report": InstallReport,
    "wings_activity": ActivityReport,
    "wings_sftp_auth": SftpAuth,
    "wings_frame_auth_success": Frame,
    "wings_frame_token_expiring": Frame,
    "wings_frame_jwt_error": Frame,
    "wings_frame_throttled": Frame,
    "wings_frame_stats": Frame,
    "wings_frame_status": Frame,
    "wings_frame_console": Frame,
    "pelican_ips": SystemIps,
    "pelican_utilization": Utilization,
    "pelican_install_logs": InstallLogs,
    "panel_server": ServerConfiguration,
    "panel_server_php": ServerConfiguration,
    "panel_servers_page": ServerPage,
    "panel_install": InstallScript,
    "panel_sftp_auth": SftpGrant,
    "panel_deauthorize": Deauthorize,
    "panel_update": TokenRenewal,
    "panel_claims_socket": SocketClaims,
    "panel_claims_download": SignedClaims,
    "panel_claims_transfer": SignedClaims,
    "panel_error": RemoteError,
    "panel_frame_set_state": Frame,
    "panel_frame_send_logs": Frame,
}

REWRITTEN = {"panel_server_php", "panel_frame_send_logs", "panel_update"}
"""Loosely typed on purpose: tests/core/protocol/test_lenient.py says what becomes of them, and of an update the token alone is read."""


def test_every_golden_file_has_its_type() -> None:
    assert {file.stem for file in GOLDEN.glob("*.json")} == BODIES.keys()


def _missing(golden: Any, ours: Any, at: str = "") -> list[str]:
    """Where `ours` lacks or changes something that stands in `golden`; what we add beside is no difference."""
    if isinstance(golden, dict) and isinstance(ours, dict):
        return [f for key, value in golden.items() for f in _missing(value, ours.get(key, "absent"), f"{at}.{key}")]
    if isinstance(golden, list) and isinstance(ours, list) and len(golden) == len(ours):
        return [f for i, (left, right) in enumerate(zip(golden, ours, strict=True)) for f in _missing(left, right, f"{at}[{i}]")]
    return [] if golden == ours else [f"{at}: {golden!r} became {ours!r}"]


EXPECTED_DIFFERENCES = {
    "wings_server": {".configuration.labels: None became {}"},
    "panel_server": {
        ".settings.environment.P_SERVER_ALLOCATION_LIMIT: 0 became '0'",
        ".settings.container.oom_disabled: True became 'absent'",
        ".settings.container.requires_rebuild: False became 'absent'",
    },
}
"""An environment is text; the container's two legacy keys are ignored as Wings ignores them; no labels are an empty map."""


@pytest.mark.parametrize("name", sorted(BODIES.keys() - REWRITTEN))
def test_a_golden_body_is_written_again_field_for_field(name: str) -> None:
    text = (GOLDEN / f"{name}.json").read_text()
    ours = BODIES[name].model_validate_json(text).model_dump(mode="json", by_alias=True)
    assert set(_missing(json.loads(text), ours)) == EXPECTED_DIFFERENCES.get(name, set())


@pytest.mark.parametrize("name", sorted(BODIES))
def test_what_we_write_we_read_back(name: str) -> None:
    first = BODIES[name].model_validate_json((GOLDEN / f"{name}.json").read_text())
    assert BODIES[name].model_validate_json(first.model_dump_json(by_alias=True)) == first


@pytest.mark.parametrize("name", sorted(BODIES))
def test_unknown_keys_of_a_newer_peer_are_ignored(name: str) -> None:
    body = json.loads((GOLDEN / f"{name}.json").read_text())
    assert BODIES[name].model_validate({**body, "invented_in_2031": [1]}) == BODIES[name].model_validate(body)


def test_of_a_panels_update_the_token_is_read_and_nothing_else() -> None:
    sent = json.loads((GOLDEN / "panel_update.json").read_text())
    read = TokenRenewal.model_validate(sent)
    assert read.model_dump() == {"token_id": sent["token_id"], "token": sent["token"]}
    assert sent["token"] not in repr(read)
