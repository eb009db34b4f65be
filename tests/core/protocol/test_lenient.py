"""A stock panel is PHP: empty maps arrive as `[]`, numbers where text is meant, text where numbers are meant, null for nothing."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from core.protocol.remote import ActivityEntry, Page
from core.protocol.settings import ConfigFile, ProcessConfiguration, Replacement, ServerConfiguration, ServerSettings, StopRule
from core.protocol.socket import Frame
from core.vocabulary import StopType

PHP = ServerConfiguration.model_validate_json((Path(__file__).parents[2] / "golden/panel_server_php.json").read_text())


def test_empty_maps_and_lists_come_in_any_form() -> None:
    settings = PHP.settings
    assert settings.environment == {}
    assert settings.allocations.mappings == {}
    assert settings.mounts == []
    assert settings.labels == {}
    assert settings.egg.file_denylist == []
    assert PHP.process_configuration.configs[1].replace == []


def test_null_is_the_empty_text_where_text_is_meant() -> None:
    assert PHP.settings.meta.description == ""
    assert PHP.settings.invocation == ""


def test_numbers_are_read_from_text_and_text_from_numbers() -> None:
    build = PHP.settings.build
    assert (build.memory_limit, build.swap, build.threads, build.oom_disabled) == (1024, -1, "3", True)
    assert PHP.settings.suspended is False


def test_a_single_done_line_becomes_a_list() -> None:
    assert PHP.process_configuration.startup.done == ["Done"]
    assert ProcessConfiguration.model_validate({"startup": {"done": None}}).startup.done == []


def test_replacements_keep_their_types_and_know_their_old_name() -> None:
    replacement = PHP.process_configuration.configs[0].replace[0]
    assert (replacement.match, replacement.if_value, replacement.replace_with) == ("0", "1", True)
    assert Replacement.model_validate({"match": "a", "replace_with": 5}).replace_with == 5


@pytest.mark.parametrize(
    ("sent", "meant"),
    [
        (5, "5"),
        (5.0, "5"),
        (2.5, "2.5"),
        (None, ""),
        (True, "true"),
        (False, "false"),
        ("x", "x"),
        ("", ""),
        (-1, "-1"),
        (10**15, "1" + "0" * 15),
    ],
)
def test_environment_values_become_text_without_false_decimals(sent: Any, meant: str) -> None:
    settings = ServerSettings.model_validate({"uuid": "u", "environment": {"KEY": sent}})
    assert settings.environment == {"KEY": meant}


@given(st.integers())
def test_whole_numbers_of_the_environment_never_gain_a_fraction(number: int) -> None:
    assert ServerSettings.model_validate({"uuid": "u", "environment": {"KEY": number}}).environment["KEY"] == str(number)


@pytest.mark.parametrize("kind", StopType)
def test_stop_rules_are_known(kind: StopType) -> None:
    assert StopRule.model_validate({"type": kind.value, "value": "C"}).type is kind


def test_a_stop_rule_nobody_knows_is_kept_for_the_one_who_must_tell() -> None:
    assert StopRule.model_validate({"type": "pray"}).type == "pray"


@pytest.mark.parametrize("missing", ["file", "parser"])
def test_a_config_file_without_its_essentials_is_refused(missing: str) -> None:
    body = {"file": "a.ini", "parser": "ini", "replace": []}
    del body[missing]
    with pytest.raises(ValidationError):
        ConfigFile.model_validate(body)


def test_a_sync_replaces_everything_since_absent_keys_are_defaults() -> None:
    bare = ServerConfiguration.model_validate({"settings": {"uuid": "u"}})
    assert bare.settings.build.memory_limit == 0
    assert bare.settings.crash_detection_enabled is None
    assert bare.process_configuration.stop.type == StopType.NATIVE


@pytest.mark.parametrize(("args", "read"), [([None], [""]), (None, []), ([], []), (["a", "b"], ["a", "b"])])
def test_frames_take_the_arguments_the_panels_page_sends(args: Any, read: list[str]) -> None:
    assert Frame.model_validate({"event": "send logs", "args": args}).args == read
    assert Frame.model_validate({"event": "send logs"}).args == []


def test_a_frame_without_an_event_is_refused() -> None:
    with pytest.raises(ValidationError):
        Frame.model_validate({"args": ["x"]})


@pytest.mark.parametrize("metadata", [[], None, "text", {}])
def test_activity_metadata_of_any_emptiness_is_an_empty_map(metadata: Any) -> None:
    entry = {"server": "u", "event": "server:power.start", "metadata": metadata, "timestamp": "2024-03-17T20:58:30.123456Z"}
    assert ActivityEntry.model_validate(entry).metadata == {}


def test_pages_are_written_with_integers_and_the_key_from() -> None:
    written = Page.model_validate({"from": 1, "to": 3, "total": 3}).model_dump(by_alias=True)
    assert written["from"] == 1
    assert all(isinstance(written[key], int) for key in ("current_page", "last_page", "per_page", "to", "total"))
