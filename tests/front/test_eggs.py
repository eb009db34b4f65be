"""`aerie egg check`, as a shell sees it."""

from pathlib import Path

from typer.testing import CliRunner

from aerie import app
from tests.control_plane import an_egg


def run(*files: Path) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["egg", "check", *map(str, files)])
    return result.exit_code, result.output


def test_good_files_are_counted(tmp_path: Path) -> None:
    one, other = tmp_path / "one.json", tmp_path / "two.yaml"
    one.write_bytes(an_egg())
    other.write_text("meta: {version: PLCN_v3}\nname: Y\ndocker_images: {a: b}\nstartup_commands: {Default: run}\n")
    assert run(one, other) == (0, "2 of 2 eggs can be imported.\n")


def test_each_file_that_fails_has_its_line(tmp_path: Path) -> None:
    good, broken, folder = tmp_path / "good.json", tmp_path / "broken.json", tmp_path / "folder"
    good.write_bytes(an_egg())
    broken.write_bytes(an_egg(docker_images={}))
    folder.mkdir()
    code, said = run(good, broken, tmp_path / "missing.json", folder)
    assert code == 1
    lines = said.splitlines()
    assert len(lines) == 4
    assert lines[0].startswith(f"{broken}: The egg names no container image.")
    assert "missing.json: It cannot be read: No such file or directory." in lines[1]
    assert lines[2].startswith(f"{folder}: It cannot be read")
    assert lines[3] == "1 of 4 eggs can be imported."
