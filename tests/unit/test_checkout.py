"""The repository as Git for Windows checks it out."""

from __future__ import annotations

import subprocess

from support.checkout import ROOT


def test_no_file_gets_other_line_ends() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "--eol"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert len(listed) > 1000
    kept = ("attr/text=auto eol=lf", "attr/-text")
    changed = [
        line
        for line in listed
        if not any(f" {attribute} " in f"{line.partition(chr(9))[0]} " for attribute in kept)
        or "i/crlf" in line
        or "i/mixed" in line
    ]
    assert changed == []
