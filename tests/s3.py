"""An S3 server of the tests' own (moto), stopped by its own process id."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from types import TracebackType
from typing import Any

import httpx
import pytest

KEYS = {"access_key_id": "tester", "secret_access_key": "hush-hush"}
START_SECONDS = 60


class S3Server:
    """So many `open_requests` come in without a look at credentials; from then on nobody's will do."""

    scheme = "s3"

    def __init__(self, open_requests: int | None = None) -> None:
        pytest.importorskip("moto")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        limit = {} if open_requests is None else {"INITIAL_NO_AUTH_ACTION_COUNT": str(open_requests)}
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
            env=os.environ | limit,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def __enter__(self) -> S3Server:
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until:
            try:
                httpx.get(f"{self.url}/moto-api/", timeout=5)
                return self
            except httpx.TransportError:
                time.sleep(0.1)
        raise RuntimeError("the S3 server did not start")

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.wait()

    def bucket(self, name: str) -> Any:
        """A new bucket, as a store that can be written to."""
        from obstore.store import S3Store

        httpx.put(f"{self.url}/{name}").raise_for_status()
        return S3Store(
            name,
            endpoint=self.url,
            region="us-east-1",
            access_key_id=KEYS["access_key_id"],
            secret_access_key=KEYS["secret_access_key"],
            client_options={"allow_http": True},
        )

    @property
    def environment(self) -> dict[str, str]:
        """The variables by which programs find the server, and may use it."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": KEYS["access_key_id"],
            "AWS_SECRET_ACCESS_KEY": KEYS["secret_access_key"],
        }
