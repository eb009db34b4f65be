"""Public keys as people paste them."""

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from core.errors import Invalid
from core.ssh_keys import read_public_key


def line_of(key: ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey | rsa.RSAPublicKey) -> str:
    return key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


def test_a_key_is_named_as_ssh_keygen_names_it() -> None:
    line = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILgYX9zaQyxB8BEYGVe8OhVwuFGdlwAc4caEGdgqVIxU ada@nest"
    key = read_public_key(f"\t{line}\r\n")
    assert (key.kind, key.comment, key.line) == ("Ed25519", "ada@nest", line.removesuffix(" ada@nest"))
    assert key.fingerprint == "rEx6CPMN2YE4CtvMKllaySJLvhfInJYaidtcqm37beg"


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()])
def test_the_three_curves_are_taken(curve: ec.EllipticCurve) -> None:
    key = read_public_key(line_of(ec.generate_private_key(curve).public_key()))
    assert key.kind == f"ECDSA {curve.key_size}"
    assert key.comment == ""


def test_rsa_is_taken_from_2048_bits_on() -> None:
    assert read_public_key(line_of(rsa.generate_private_key(65537, 2048).public_key())).kind == "RSA 2048"
    with pytest.raises(Invalid, match="this one has 1024"):
        read_public_key(line_of(rsa.generate_private_key(65537, 1024).public_key()))


def test_a_private_key_is_refused_with_a_warning() -> None:
    pem = ed25519.Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode()
    with pytest.raises(Invalid, match="private key") as caught:
        read_public_key(pem)
    assert pem.splitlines()[1] not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello",
        "ssh-ed25519",
        "ssh-ed25519 ",
        "ssh-ed25519 AAAA",
        "ssh-ed25519 äöü",
        "ssh-ed25519 !!!!",
        "ssh-dss AAAAB3NzaC1kc3MAAACBAA==",
        "sk-ssh-ed25519@openssh.com AAAA",
        "ssh-rsa " + base64.b64encode(b"\0" * 300).decode(),
        "ssh-ed25519 " + "A" * 20_000,
        "ssh-ed25519 AAAA\nssh-ed25519 BBBB",
        'command="sh" ssh-ed25519 AAAA',
        "ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAAIHUCgcL8gOIwHRsG6RzJTTnrEeeJt6gY/5Cn/5cHDCyF",
    ],
)
def test_what_is_no_key_is_refused_in_words(text: str) -> None:
    with pytest.raises(Invalid) as caught:
        read_public_key(text)
    assert caught.value.message.endswith(".")
