"""Names of images as Docker reads them, and whose login goes where (DOC-5)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.runtime.image_name import read_image
from core.agent_settings import RegistryLogin
from core.errors import ImageUnavailable

DIGEST = "sha256:" + "ab" * 32


@pytest.mark.parametrize(
    ("text", "whole", "name"),
    [
        ("nginx", "docker.io/library/nginx:latest", "nginx:latest"),
        ("nginx:1.25", "docker.io/library/nginx:1.25", "nginx:1.25"),
        ("games/demo:1", "docker.io/games/demo:1", "games/demo:1"),
        ("docker.io/library/nginx", "docker.io/library/nginx:latest", "nginx:latest"),
        ("index.docker.io/a/b", "docker.io/a/b:latest", "a/b:latest"),
        ("ghcr.io/pelican-eggs/yolks:java_21", "ghcr.io/pelican-eggs/yolks:java_21", "ghcr.io/pelican-eggs/yolks:java_21"),
        ("localhost/x:1", "localhost/x:1", "localhost/x:1"),
        ("127.0.0.1:5000/a/b/c:v-1.2_3", "127.0.0.1:5000/a/b/c:v-1.2_3", "127.0.0.1:5000/a/b/c:v-1.2_3"),
        ("[::1]:5000/a:1", "[::1]:5000/a:1", "[::1]:5000/a:1"),
        ("host:5000/a", "host:5000/a:latest", "host:5000/a:latest"),
        (f"ghcr.io/a/b@{DIGEST}", f"ghcr.io/a/b@{DIGEST}", f"ghcr.io/a/b@{DIGEST}"),
        (f"ghcr.io/a/b:1@{DIGEST}", f"ghcr.io/a/b@{DIGEST}", f"ghcr.io/a/b@{DIGEST}"),
        ("~x", "docker.io/library/x:latest", "x:latest"),
        ("~games/demo:2", "docker.io/games/demo:2", "games/demo:2"),
    ],
)
def test_doc_5_a_name_is_read_as_docker_reads_it(text: str, whole: str, name: str) -> None:
    image = read_image(text)
    assert (image.whole, image.name, image.local) == (whole, name, text.startswith("~"))


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "~",
            " ",
            "a b",
            " nginx",
            "nginx ",
            "nginx\n",
            "a\0",
            "--privileged",
            "-v",
            "Nginx",
            "a//b",
            "/a",
            "a/",
            "a:",
            ":1",
            "a:b:c",
        ),
        *("a:t/", "http://ghcr.io/a", "ghcr.io:/a", "ghcr.io:999999/a", "gh cr.io/a", "-x.io/a", "a@", "a@sha256:12", f"a@md5:{'a' * 32}"),
        *(f"a@{DIGEST}x", "a" * 64, "~~x", "../a", "a/../b", "a?tag=b", "a&fromSrc=-", "ä", "a:" + "x" * 129, "/".join(["a"] * 200)),
        *("user:password@ghcr.io/a", "ghcr.io/a;b", "$(id)", "a`b`", "a_", "_a", "a__.b", "ghcr.io#@evil/a"),
    ],
)
def test_doc_5_what_cannot_be_a_name_is_refused_before_docker_sees_it(text: str) -> None:
    with pytest.raises(ImageUnavailable):
        read_image(text)


LOGINS = {
    "ghcr.io": RegistryLogin(username="all"),
    "ghcr.io/team": RegistryLogin(username="team"),
    "ghcr.io/team/deep": RegistryLogin(username="deep"),
    "https://index.docker.io/v1/": RegistryLogin(username="hub"),
    "registry.example:5000": RegistryLogin(username="port"),
}


@pytest.mark.parametrize(
    ("image", "user"),
    [
        ("ghcr.io/x", "all"),
        ("ghcr.io/team/x", "team"),
        ("ghcr.io/team/deep/x", "deep"),
        ("ghcr.io/teammates/x", "all"),
        ("ghcr.io/team", "team"),
        ("nginx", "hub"),
        ("docker.io/a/b", "hub"),
        ("registry.example:5000/a", "port"),
        ("GHCR.IO/x", "all"),
        ("registry.example/a", None),
        ("registry.example:500/a", None),
        ("ghcr.io.evil.tld/x", None),
        ("ghcr.io:443/x", None),
        ("evil.tld/ghcr.io/x", None),
        ("notghcr.io/x", None),
        ("quay.io/ghcr.io/team/x", None),
    ],
)
def test_doc_5_a_login_goes_to_its_own_host_alone_and_the_longest_path_wins(image: str, user: str | None) -> None:
    login = read_image(image).login(LOGINS)
    assert (login.username if login else None) == user


@given(st.text(max_size=40))
def test_whatever_is_written_either_is_a_plain_name_or_is_refused(text: str) -> None:
    try:
        image = read_image(text)
    except ImageUnavailable:
        return
    assert image.whole.isascii()
    assert not set(image.whole) & set(" \n\t\0?&#;$`'\"\\")
    assert read_image(image.whole).whole == image.whole
