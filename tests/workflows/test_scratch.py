"""The folder for temporary files."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from rowsmith.errors import StorageError
from rowsmith.workflows.scratch import scratch


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path


def test_what_a_killed_program_left_goes_with_the_next(temporary: Path) -> None:
    code = (
        "import time\nfrom rowsmith.workflows.scratch import scratch\n"
        "with scratch() as folder:\n"
        "    (folder / 'rows').touch()\n    print(folder, flush=True)\n    time.sleep(60)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    left = Path(process.stdout.readline().strip())
    with scratch() as mine:
        assert (left / "rows").exists(), "a folder in use was removed"
        assert mine.parent == left.parent
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert left.exists()
    with scratch() as mine:
        assert list(left.parent.iterdir()) == [mine]
    assert not mine.exists()


def test_a_folder_that_others_may_read_is_refused() -> None:
    with scratch() as mine:
        root = mine.parent.parent
    root.chmod(0o755)
    with pytest.raises(StorageError, match="not this user's alone"), scratch():
        pass
