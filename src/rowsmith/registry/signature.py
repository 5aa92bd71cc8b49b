"""Signatures: who vouches for a version, checked before anything of it is loaded (Ed25519, RFC 8032).

What is signed is a statement of two hashes: that of the model's manifest, which holds those of all its files, and that
of the project's own code that runs before the model. Keys are PEM files, as `openssl genpkey -algorithm ed25519` makes
them too; whoever serves names the public keys that it trusts, and none of them lies with what it vouches for.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rowsmith.errors import ArtifactError, NotFoundError, UsageError
from rowsmith.storage.files import write_atomically, writing_to

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

SIGNATURE_FILE = "signature.json"
MAX_BYTES = 10_000
EXTRA = "pip install 'rowsmith[signing]'"
PUBLIC_SUFFIX = ".pub"


@dataclass(frozen=True, slots=True)
class Statement:
    """What a signature vouches for; hashes as hexadecimal text, `own_code` empty where there is none."""

    artifact: str
    own_code: str

    def to_bytes(self) -> bytes:
        said = {"artifact": self.artifact, "own_code": self.own_code, "rowsmith": "signature 1"}
        return json.dumps(said, sort_keys=True, separators=(",", ":")).encode()


def make_key(path: Path) -> Path:
    """A new private key in `path`, readable by its owner alone, and its public key beside it, which is answered.

    Raises UsageError for a file that exists already, StorageError.
    """
    ed25519, serialization = _libraries()
    public = path.with_name(path.name + PUBLIC_SUFFIX)
    if path.exists() or public.exists():
        raise UsageError(
            "there is a key already, and it is not overwritten", where=str(path), next_step="choose another file"
        )
    key = ed25519.Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    with writing_to(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(private)
            file.flush()
            os.fsync(file.fileno())
    info = serialization.PublicFormat.SubjectPublicKeyInfo
    write_atomically(public, key.public_key().public_bytes(serialization.Encoding.PEM, info))
    return public


def sign(folder: Path, statement: Statement, key: Path) -> None:
    """Write the signature into a version's folder. Raises NotFoundError, UsageError (the key), StorageError."""
    private = _read_private(key)
    document = {
        "algorithm": "ed25519",
        "key": _text(private.public_key().public_bytes_raw()),
        "signature": _text(private.sign(statement.to_bytes())),
    }
    write_atomically(folder / SIGNATURE_FILE, json.dumps(document, indent=1))


def check(folder: Path, statement: Statement, trusted: Sequence[Path]) -> Path:
    """The trusted key that vouches for a version. Raises ArtifactError where none does, NotFoundError, UsageError."""
    path = folder / SIGNATURE_FILE
    advice = f"sign it with a trusted key: rowsmith sign {folder.name} --key FILE"
    if not path.is_file():
        raise ArtifactError(
            "this version is not signed, and only signed ones are loaded here", where=str(folder), next_step=advice
        )
    signature = _read_signature(path)
    for file in trusted:
        if _vouches(_read_public(file), signature, statement):
            return file
    raise ArtifactError(
        "no trusted key vouches for this version as it is: it was changed, or signed with another key",
        where=str(path),
        next_step=f"{advice}; it was not loaded",
    )


def _vouches(key: Ed25519PublicKey, signature: bytes, statement: Statement) -> bool:
    from cryptography.exceptions import InvalidSignature

    try:
        key.verify(signature, statement.to_bytes())
    except InvalidSignature:
        return False
    return True


def _read_signature(path: Path) -> bytes:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ValueError("it is too long")
        document = json.loads(path.read_text(encoding="utf-8"))
        return base64.b64decode(document["signature"], validate=True)
    except (OSError, ValueError, LookupError, TypeError, RecursionError, binascii.Error) as problem:
        raise ArtifactError(f"the signature cannot be read: {problem}", where=str(path)) from problem


def _read_private(path: Path) -> Ed25519PrivateKey:
    ed25519, serialization = _libraries()
    content = _content(path)
    try:
        key = serialization.load_pem_private_key(content, None)
    except (ValueError, TypeError) as problem:
        raise UsageError("this is not a private key without a password", where=str(path)) from problem
    if not isinstance(key, ed25519.Ed25519PrivateKey):
        raise UsageError("this is no Ed25519 key", where=str(path), next_step="make one: rowsmith sign --new-key FILE")
    private: Ed25519PrivateKey = key
    return private


def _read_public(path: Path) -> Ed25519PublicKey:
    ed25519, serialization = _libraries()
    content = _content(path)
    try:
        key = serialization.load_pem_public_key(content)
    except ValueError as problem:
        raise UsageError("this is not a public key", where=str(path)) from problem
    if not isinstance(key, ed25519.Ed25519PublicKey):
        raise UsageError("this is no Ed25519 key", where=str(path))
    public: Ed25519PublicKey = key
    return public


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as problem:
        raise NotFoundError(f"the key cannot be read: {problem.strerror}", where=str(path)) from problem


def _libraries() -> tuple[Any, Any]:
    try:
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ed25519
    except ImportError as problem:
        raise UsageError("signatures need the package cryptography", next_step=EXTRA) from problem
    return ed25519, serialization


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode()
