"""C2PA credentials: read offline from a hostile file, and shown as what they are."""

import json
import os
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import c2pa
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from core.types import Provenance
from core.words import say
from preprocessing import provenance
from preprocessing.provenance import MAX_CHARACTERS, MAX_ITEMS, read_provenance
from tests import clips
from ui.provenance import credentials, credentials_words

TAG = "<img src=x onerror=alert(1)>"
MADE_BY_A_NETWORK = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"

Sign = Callable[..., Path]


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return clips.good(tmp_path_factory.mktemp("clips") / "plain.mp4", 10)


@pytest.fixture(scope="module")
def signer() -> c2pa.Signer:
    """By a certificate of our own, which no list of trusted issuers knows."""
    issuer_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    chain = [certificate("Anna", key, issuer_key), certificate("Some issuer", issuer_key, issuer_key)]
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    pem = b"".join(one.public_bytes(serialization.Encoding.PEM) for one in chain)
    return c2pa.Signer.from_info(c2pa.C2paSignerInfo(b"es256", pem, secret, None))


@pytest.fixture
def sign(plain: Path, signer: c2pa.Signer, tmp_path: Path) -> Sign:
    """Makes a signed copy of the clip."""

    def signed(title: str = "Holiday", actions: int = 1, address: str | None = None) -> Path:
        done = {"action": "c2pa.created", "softwareAgent": f"Paint {TAG}", "digitalSourceType": MADE_BY_A_NETWORK}
        edits = [{"action": "c2pa.edited"}] * (actions - 1)
        claim = {
            "claim_generator_info": [{"name": f"Studio {TAG}", "version": "2"}],
            "title": title,
            "assertions": [{"label": "c2pa.actions", "data": {"actions": [done, *edits]}}],
        }
        builder = c2pa.Builder(json.dumps(claim))
        if address:
            builder.set_no_embed()
            builder.set_remote_url(address)
        path = tmp_path / "signed.mp4"
        with plain.open("rb") as source, path.open("w+b") as target:
            builder.sign(signer, "video/mp4", source, target)
        return path

    return signed


def certificate(name: str, key: Any, issuer_key: Any) -> x509.Certificate:
    own, issuer = name != "Anna", issuer_key.public_key()
    now = datetime.now(UTC)

    def called(who: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(kind, who) for kind in (NameOID.ORGANIZATION_NAME, NameOID.COMMON_NAME)])

    made = (
        x509.CertificateBuilder(called("Some issuer"), called(name), key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(own, None), critical=True)
        .add_extension(x509.KeyUsage(True, *[False] * 4, own, own, False, False), critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    if not own:
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION])
        made = made.add_extension(usage, critical=False)
    return made.sign(issuer_key, hashes.SHA256())


def changed(path: Path, at: bytes, offset: int, count: int) -> Path:
    content = bytearray(path.read_bytes())
    start = content.index(at) + offset
    content[start : start + count] = b"\xff" * count
    path.write_bytes(content)
    return path


def test_intact_credentials_are_read_and_said_to_be_signed_by_who_they_say(sign):
    read = read_provenance(sign(TAG))
    assert read == Provenance(
        "intact",
        signer="Anna, Anna",
        generator=f"Studio {TAG} 2",
        title=TAG,
        actions=(f"c2pa.created (Paint {TAG}, trainedAlgorithmicMedia)",),
    )
    assert say("credentials.trust") in credentials_words(read)


def test_a_changed_file_breaks_its_credentials(sign):
    read = read_provenance(changed(sign(), b"mdat", 2000, 1))
    assert read.status == "broken"
    assert "bmffHash.mismatch" in " ".join(read.problems)
    assert read.title == "Holiday"


def test_damaged_credentials_are_there_but_could_not_be_read(sign):
    read = read_provenance(changed(sign(), b"c2pa.claim", 50, 40))
    assert read.status == "unreadable"
    assert credentials_words(read).startswith("Credentials are there but could not be read: ")


def test_credentials_at_another_address_are_not_fetched(sign):
    read = read_provenance(sign(address="http://127.0.0.1:9/claim.c2pa"))
    assert read.status == "unreadable"
    assert "nothing is fetched" in read.problems[0]


def test_a_file_without_credentials_is_never_given_to_the_reader(plain, monkeypatch):
    monkeypatch.setattr(provenance.subprocess, "run", lambda *_, **__: pytest.fail("a child was started"))
    assert read_provenance(plain) == Provenance("absent")
    assert "means nothing" in credentials_words(Provenance("absent"))


def test_a_mark_alone_is_no_credentials(plain, tmp_path):
    marked = tmp_path / "marked.mp4"
    marked.write_bytes(plain.read_bytes() + b"c2pa")
    assert read_provenance(marked) == Provenance("absent")


def test_long_texts_and_lists_are_cut(sign):
    read = read_provenance(sign("long \u202e" * 1000, actions=100))
    assert len(read.title) == MAX_CHARACTERS + 1
    assert "\u202e" not in read.title
    assert len(read.actions) == MAX_ITEMS + 1
    assert read.actions[-1] == "and 80 more"


def test_a_reader_that_hangs_or_dies_is_an_answer(sign, monkeypatch, tmp_path):
    path = sign()
    for script, why in (("exec sleep 30", "longer than 1 s"), ("kill -SEGV $$", "the reader failed on them")):
        reader = tmp_path / "reader"
        reader.write_text(f"#!/bin/sh\n{script}\n")
        reader.chmod(0o755)
        monkeypatch.setattr(provenance.sys, "executable", str(reader))
        monkeypatch.setattr(provenance, "LIMIT_S", 1.0)
        assert why in read_provenance(path).problems[0]


def test_the_reader_knows_nothing_of_the_operators_environment(sign, monkeypatch, tmp_path):
    told, reader = tmp_path / "told", tmp_path / "reader"
    reader.write_text(f"#!/bin/sh\nenv > {told}\nexit 1\n")
    reader.chmod(0o755)
    monkeypatch.setattr(provenance.sys, "executable", str(reader))
    monkeypatch.setitem(os.environ, "DATABASE_URL", "a secret")
    read_provenance(sign())
    assert "a secret" not in told.read_text()


def test_the_panel_escapes_what_the_file_says():
    told = Provenance("broken", TAG, TAG, TAG, TAG, (TAG,), (TAG,), (TAG,))
    for shown in (told, replace(told, status="intact"), replace(told, status="unreadable")):
        assert "<img" not in credentials(shown)
        assert "&lt;img" in credentials(shown)
    assert say("credentials.unread") in credentials(None)
