"""Wings' configuration from rows that were never stored: the function is pure."""

from typing import Any

import pytest

from core.models.egg import Egg, EggVariable
from core.models.node import Node
from core.models.server import Allocation, Server, ServerVariable
from core.services.configuration import configuration, disarmed, stop_rule


def a_server(find: dict[str, Any], world: str | None = None, stop: str = "stop") -> Server:
    variables = [EggVariable(id=1, name="World", env_variable="WORLD", default_value="default {{x}}", rules=[])]
    egg = Egg(
        uuid="egg-uuid",
        name="Egg",
        docker_images={"a": "b"},
        file_denylist=["*.conf"],
        startup="run",
        config_files={"server.properties": {"parser": "properties", "find": find}},
        done=["Done "],
        strip_ansi=False,
        stop=stop,
        variables=variables,
        players=None,
    )
    server = Server(
        uuid="8d3f01ab-0000-4000-8000-000000000000",
        name="Isle {{config.token}}",
        description="",
        startup="run {{WORLD}} {{SERVER_PORT}}",
        image="img",
        memory=1024,
        swap=0,
        disk=0,
        io=500,
        cpu=0,
        threads=None,
        oom_disabled=False,
        skip_scripts=False,
        node=Node(location="eu"),
        egg=egg,
        variables=[ServerVariable(egg_variable_id=1, value=world)] if world is not None else [],
    )
    main, extra = (
        Allocation(ip="10.0.0.5", port=25565, is_primary=True),
        Allocation(ip="10.0.0.5", port=25566),
    )
    server.__dict__["allocation"] = main
    server.__dict__["allocations"] = [main, extra]
    return server


def resolved(value: Any, world: str | None = None) -> Any:
    (file,) = configuration(a_server({"key": value}, world)).process_configuration.configs
    return file.replace[0].replace_with


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{server.build.default.port}}", "25565"),
        ("{{server.allocations.default.ip}}", "10.0.0.5"),
        ("{{server.build.env.WORLD}}", "isle"),
        ("{{server.environment.WORLD}}", "isle"),
        ("{{env.WORLD}}!", "isle!"),
        ("{{env.SERVER_PORT}}/{{server.build.env.SERVER_IP}}", "25565/10.0.0.5"),
        ("{{env.SERVER_MEMORY}} {{server.build.memory}} {{server.build.memory_limit}}", "1024 1024 1024"),
        ("{{server.nothing.here}}", ""),
        ("{{env.NOPE}}", ""),
        ("{{config.docker.interface}}", "{{config.docker.network.interface}}"),
        ("{{config.docker.network.interface}}", "{{config.docker.network.interface}}"),
        ("{{ env.WORLD }} {{WORLD}}", "{{ env.WORLD }} {{WORLD}}"),
        ("plain", "plain"),
        (5, 5),
        (True, True),
        (None, ""),
    ],
)
def test_placeholders_become_what_the_panel_means(template: Any, text: Any) -> None:
    assert resolved(template, "isle") == text


@pytest.mark.parametrize("evil", ["{{config.token}}", "{{{config.token}}}", "{{{{config.token}}}}"])
def test_what_a_user_typed_never_becomes_a_placeholder(evil: str) -> None:
    for template in ("{{env.WORLD}}", "{{server.build.env.WORLD}}", "{{{env.WORLD}}}", "{{server.name}}", "{{env.STARTUP}}"):
        assert "{{config" not in resolved(template, evil)
    assert "{{config" not in resolved("{{{env.WORLD}}}", "{config.token}")
    assert "{{" not in disarmed(evil)


def test_the_environment_is_text_in_the_panels_order() -> None:
    settings = configuration(a_server({}, "isle")).settings
    assert list(settings.environment) == ["WORLD", "STARTUP", "P_SERVER_LOCATION", "P_SERVER_UUID", "P_SERVER_ALLOCATION_LIMIT"]
    assert settings.environment["WORLD"] == "isle"
    assert settings.environment["STARTUP"] == settings.invocation == "run {{WORLD}} {{SERVER_PORT}}"
    assert settings.allocations.mappings == {"10.0.0.5": [25565, 25566]}
    assert all(isinstance(value, str) for value in settings.environment.values())


def test_a_map_replaces_old_values_by_new_ones() -> None:
    (file,) = configuration(
        a_server({"address": {"localhost": "{{server.build.default.ip}}", "regex:^x": "y"}})
    ).process_configuration.configs
    assert [(r.match, r.if_value, r.replace_with) for r in file.replace] == [
        ("address", "localhost", "10.0.0.5"),
        ("address", "regex:^x", "y"),
    ]


@pytest.mark.parametrize(
    ("stop", "kind", "value"),
    [
        ("^C", "signal", "C"),
        ("^c", "signal", "C"),
        ("^^C", "signal", "C"),
        ("^SIGTERM", "signal", "SIGTERM"),
        ("quit", "command", "quit"),
        ("", "stop", None),
    ],
)
def test_a_caret_is_a_signal(stop: str, kind: str, value: str | None) -> None:
    rule = stop_rule(stop)
    assert (rule.type, rule.value) == (kind, value)
