"""The environment that the targets of the Makefile run in."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_python_keeps_compiled_files_whatever_the_environment_says(tmp_path: Path) -> None:
    makefile = tmp_path / "Makefile"
    makefile.write_text(
        f"include {ROOT}/Makefile\nshow:\n\t@echo $${{PYTHONDONTWRITEBYTECODE-unset}}\n"
    )
    done = subprocess.run(
        ["make", "--no-print-directory", "-f", makefile, "show"],
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout.strip()) == (0, "unset"), done.stderr
