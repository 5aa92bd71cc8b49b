"""The files of the deployment guide, as it prints them: read by systemd's checker, and run by nginx."""

from __future__ import annotations

import re
import shutil
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from rowsmith.access.keys import KeyRole, KeyStore
from tests.serving.browsing import running
from tests.serving.models import a_row, loans, make_project
from tests.serving.test_server import certificate

GUIDE = Path(__file__).parents[2] / "docs" / "guide" / "deployment.md"
NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
SYSTEMD = shutil.which("systemd-analyze")
MOST_EXPOSED = 1.5


def block(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    return found[1]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# -- systemd -----------------------------------------------------------------------------------------------


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The unit; the program that it starts and its user are those of this machine, since the checker looks for them."""
    text = block("ini").replace("/opt/rowsmith/bin/rowsmith", str(Path(sys.executable).parent / "rowsmith"))
    text = re.sub(r"(?m)^(User|Group)=rowsmith$", r"\1=daemon", text)
    path = tmp_path / "rowsmith.service"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.skipif(SYSTEMD is None, reason="systemd-analyze is not installed (apt-get install systemd)")
def test_systemd_has_nothing_to_say_about_the_unit(unit: Path) -> None:
    assert SYSTEMD is not None
    done = subprocess.run([SYSTEMD, "verify", "--man=no", str(unit)], capture_output=True, text=True, check=False)
    ours = [line for line in done.stderr.splitlines() if "rowsmith" in line]
    assert (done.returncode, ours) == (0, []), done.stderr


@pytest.mark.skipif(SYSTEMD is None, reason="systemd-analyze is not installed (apt-get install systemd)")
def test_the_unit_is_hardened(unit: Path) -> None:
    assert SYSTEMD is not None
    command = [SYSTEMD, "security", "--offline=true", "--no-pager", str(unit)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    said = re.search(r"Overall exposure level for rowsmith\.service: (\d+\.\d+)", done.stdout)
    assert said is not None, done.stdout + done.stderr
    assert float(said[1]) <= MOST_EXPOSED


# -- nginx -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Site:
    """nginx in front of a server: what it answers under, and a key of each role."""

    https: int
    http: int
    key: str
    trust: ssl.SSLContext

    def client(self, key: str = "") -> httpx.Client:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        return httpx.Client(
            base_url=f"https://127.0.0.1:{self.https}", verify=self.trust, headers=headers, trust_env=False, timeout=30
        )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    if NGINX is None:
        pytest.skip("nginx is not installed (apt-get install nginx-light)")
    root = tmp_path_factory.mktemp("deployed")
    (root / "project").mkdir()
    project = make_project(root / "project", "default")
    key = KeyStore(project.database).create("tester", KeyRole.OPERATE, actor="a test")[1]
    cert, cert_key = certificate(root)
    https, http = free_port(), free_port()
    settings = {"require_keys": True, "trusted_proxies": 1}
    with running(root / "project", settings=settings) as server:
        text = block("nginx")
        for old, new in {
            "127.0.0.1:8000": f"127.0.0.1:{server.port}",
            "listen 80;": f"listen 127.0.0.1:{http};",
            "listen 443 ssl http2;": f"listen 127.0.0.1:{https} ssl http2;",
            "server_name models.example;": "server_name 127.0.0.1;",
            "/etc/ssl/models.example.pem": str(cert),
            "/etc/ssl/private/models.example.key": str(cert_key),
            "client_max_body_size 200m;": "client_max_body_size 2m;",
        }.items():
            assert old in text
            text = text.replace(old, new)
        paths = "".join(
            f"{kind}_temp_path {root}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        (root / "nginx.conf").write_text(
            f"worker_processes 1;\npid {root}/pid;\nerror_log {root}/error.log;\nevents {{}}\n"
            f"http {{\naccess_log off;\n{paths}{text}\n}}\n"
        )
        command = [NGINX, "-p", str(root), "-e", str(root / "error.log"), "-c", str(root / "nginx.conf")]
        subprocess.run([*command, "-t", "-q"], check=True)
        process = subprocess.Popen([*command, "-g", "daemon off;"])
        try:
            yield _up(Site(https, http, key, ssl.create_default_context(cafile=str(cert))))
        finally:
            process.terminate()
            process.wait(20)


def _up(site: Site) -> Site:
    deadline = time.monotonic() + 20
    with site.client() as client:
        while time.monotonic() < deadline:
            try:
                if client.get("/churn/health").status_code == 200:
                    return site
            except httpx.TransportError:
                time.sleep(0.05)
    raise AssertionError("nginx does not answer")


pytestmark = pytest.mark.slow


def test_a_prediction_through_the_proxy(site: Site) -> None:
    with site.client(site.key) as client:
        answer = client.post("/churn/api/v1/predict", json={"row": a_row()})
        assert answer.status_code == 200
        assert re.fullmatch(r"[0-9a-f]{32}", answer.headers["X-Request-Id"])  # nginx's
        assert answer.headers["Strict-Transport-Security"]
    with site.client() as client:
        assert client.post("/churn/api/v1/predict", json={"row": a_row()}).status_code == 401


def test_plain_http_is_sent_to_https(site: Site) -> None:
    with httpx.Client(trust_env=False) as client:
        answer = client.get(f"http://127.0.0.1:{site.http}/churn/?a=1")
        assert (answer.status_code, answer.headers["Location"]) == (301, "https://127.0.0.1/churn/?a=1")


def test_every_link_carries_the_prefix(site: Site) -> None:
    with site.client(site.key) as client:
        for page in ("/churn/", "/churn/predict", "/churn/batch", "/churn/report", "/churn/monitoring", "/churn/api"):
            text = client.get(page, follow_redirects=True).raise_for_status().text
            links = re.findall(r'(?:href|src|action|hx-get|hx-post)="(/[^"]*)"', text)
            assert links and [link for link in links if not link.startswith("/churn/")] == []
            for link in links:
                if re.search(r"\.(css|js|svg)|/static/", link):
                    assert client.get(link).status_code == 200
        assert client.get("/churn/openapi.json").json()["servers"] == [{"url": "/churn/"}]
        assert f"https://127.0.0.1:{site.https}/churn/api/v1/predict" in client.get("/churn/api").text


def test_people_sign_in_under_the_prefix(site: Site) -> None:
    with site.client() as client:
        asked = client.get("/churn/monitoring", headers={"Accept": "text/html"})
        assert asked.status_code == 303
        assert asked.headers["Location"] == "/churn/sign-in?next=/churn/monitoring"
        form = {"key": site.key, "next": "/churn/monitoring"}
        entered = client.post("/churn/sign-in", data=form, headers={"Sec-Fetch-Site": "same-origin"})
        assert (entered.status_code, entered.headers["Location"]) == (303, "/churn/monitoring")
        assert "Secure" in entered.headers["Set-Cookie"]
        assert client.get("/churn/monitoring").status_code == 200
        # A browser that says nothing of where a change comes from is believed by its Origin, which names the proxy.
        body = {"data": {"age": "44"}, "headers": {"Origin": f"https://127.0.0.1:{site.https}"}}
        assert client.post("/churn/predict", **body).status_code != 403  # type: ignore[arg-type]
        body["headers"] = {"Origin": "https://elsewhere.example"}
        assert client.post("/churn/predict", **body).status_code == 403  # type: ignore[arg-type]


def test_a_job_through_the_proxy(site: Site, tmp_path: Path) -> None:
    loans(30).drop("default", "rate", "amount").write_parquet(tmp_path / "a.parquet")
    with site.client(site.key) as client:
        job = client.post("/churn/api/v1/jobs", files={"file": ("a.parquet", (tmp_path / "a.parquet").read_bytes())})
        assert job.status_code == 202 and job.headers["Location"].startswith("/churn/api/v1/jobs/")
        deadline = time.monotonic() + 60
        while (found := client.get(job.headers["Location"]).json())["state"] != "done":
            assert time.monotonic() < deadline and found["state"] in ("waiting", "running"), found
            time.sleep(0.1)
        assert client.get(found["links"]["result"]).status_code == 200


def test_what_a_caller_says_of_himself_counts_for_nothing(site: Site) -> None:
    """The proxy writes these headers anew; a server that believed the caller's would redirect to his site."""
    forged = {"X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "http", "X-Forwarded-Prefix": "/evil"}
    with site.client(site.key) as client:
        text = client.get("/churn/api", headers=forged).text
        assert "evil" not in text
        assert f"https://127.0.0.1:{site.https}/churn/api/v1/predict" in text


def test_limits_of_the_proxy(site: Site) -> None:
    with site.client(site.key) as client:
        large = client.post("/churn/api/v1/predict", content=b"x" * 3_000_000)
        assert large.status_code == 413
        answers = [client.get("/churn/health").status_code for _ in range(600)]
        assert set(answers) <= {200, 429}
