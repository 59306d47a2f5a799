"""The command line as a whole."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.test_decode import STREAM


@pytest.mark.parametrize("size", [1, 500])
def test_whoever_reads_may_have_enough(tmp_path: Path, size: int) -> None:
    """As with ``decode FILE | head -1``, whether the rest is in a buffer or on its way."""
    file = tmp_path / "bytes.hex"
    file.write_text(STREAM.hex() * size)
    command = [sys.executable, "-m", "jkbms_addon", "decode", str(file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.close()
        said = process.stderr.read().decode()
        status = process.wait(60)
    assert said == ""
    assert status == 141
