"""Servers that speak like Azure and Google, where somebody installed them; stopped by their own process ids."""

from __future__ import annotations

import base64
import hmac
import json
import shutil
import subprocess
import time
from email.utils import formatdate
from types import TracebackType
from typing import Any, ClassVar, Self

import httpx
import pytest

from tests.servers import free_port

START_SECONDS = 60
ACCOUNT = "tester"
KEY = base64.b64encode(b"hush-hush").decode()


class CloudServer:
    """A program with a port of its own. Skips the test where it is not installed."""

    scheme: ClassVar[str]
    program: ClassVar[str]
    install: ClassVar[str]

    def __init__(self) -> None:
        found = shutil.which(self.program)
        if found is None:
            pytest.skip(f"{self.program} is not installed ({self.install})")
        port = free_port()
        self.root = f"http://127.0.0.1:{port}"
        self._process = subprocess.Popen(
            [found, *self.arguments(port)],
            env={"PATH": "/usr/bin:/bin", "AZURITE_ACCOUNTS": f"{ACCOUNT}:{KEY}"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    @staticmethod
    def arguments(port: int) -> list[str]:
        raise NotImplementedError

    def __enter__(self) -> Self:
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until:
            try:
                httpx.get(self.root, timeout=5)
                return self
            except httpx.TransportError:
                time.sleep(0.1)
        self._process.kill()
        raise RuntimeError(f"{self.program} did not start")

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.wait()


class AzureServer(CloudServer):
    """Azurite, Microsoft's own; it keeps nothing on disk."""

    scheme = "az"
    program = "azurite-blob"
    install = "npm install -g azurite"

    @staticmethod
    def arguments(port: int) -> list[str]:
        return [
            *("--blobHost", "127.0.0.1", "--blobPort", str(port)),
            *("--inMemoryPersistence", "--skipApiVersionCheck", "--disableTelemetry", "--silent"),
        ]

    @property
    def url(self) -> str:
        return f"{self.root}/{ACCOUNT}"

    def bucket(self, name: str) -> Any:
        """A new container, as a store that can be written to. The library makes none, so it is signed for here."""
        from obstore.store import AzureStore

        headers = {"x-ms-date": formatdate(usegmt=True), "x-ms-version": "2021-08-06"}
        told = "".join(f"{header}:{value}\n" for header, value in headers.items())
        text = "PUT" + 12 * "\n" + told + f"/{ACCOUNT}/{ACCOUNT}/{name}\nrestype:container"
        signature = base64.b64encode(hmac.digest(base64.b64decode(KEY), text.encode(), "sha256")).decode()
        headers["Authorization"] = f"SharedKey {ACCOUNT}:{signature}"
        httpx.put(f"{self.url}/{name}?restype=container", headers=headers).raise_for_status()
        return AzureStore(
            name, account_name=ACCOUNT, account_key=KEY, endpoint=self.url, client_options={"allow_http": True}
        )

    @property
    def environment(self) -> dict[str, str]:
        """The variables by which programs find the server, and may use it."""
        return {
            "AZURE_STORAGE_ENDPOINT": self.url,
            "AZURE_STORAGE_ACCOUNT_NAME": ACCOUNT,
            "AZURE_STORAGE_ACCOUNT_KEY": KEY,
        }


class GoogleServer(CloudServer):
    """fake-gcs-server lists and reads as the library asks for it, but knows no put of it: objects come another way."""

    scheme = "gs"
    program = "fake-gcs-server"
    install = "github.com/fsouza/fake-gcs-server, in PATH"

    @staticmethod
    def arguments(port: int) -> list[str]:
        return [
            *("-scheme", "http", "-host", "127.0.0.1", "-port", str(port)),
            *("-public-host", f"127.0.0.1:{port}", "-backend", "memory"),
        ]

    @property
    def service_account(self) -> str:
        """The JSON of one that is asked for no token."""
        nothing = dict.fromkeys(("client_email", "private_key", "private_key_id"), "")
        return json.dumps({"gcs_base_url": self.root, "disable_oauth": True, **nothing})

    def bucket(self, name: str) -> str:
        httpx.post(f"{self.root}/storage/v1/b", json={"name": name}).raise_for_status()
        return name

    def put(self, bucket: str, key: str, content: bytes) -> None:
        where = f"{self.root}/upload/storage/v1/b/{bucket}/o"
        httpx.post(where, params={"uploadType": "media", "name": key}, content=content).raise_for_status()
