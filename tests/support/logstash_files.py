"""This project's Logstash pipelines, and their script run by Ruby."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

from support.checkout import ROOT
from support.components import unavailable

Event = dict[str, Any]
FOLDER: Final = ROOT / "observability" / "logstash"
IN_IMAGE: Final = Path("/usr/share/logstash")
SCRIPT: Final = FOLDER / "pipeline" / "dead_letter.rb"
# The text of each pipeline without its comments.
TEXTS: Final = {
    path.stem: re.sub(r"^\s*#.*\n", "", path.read_text(), flags=re.MULTILINE)
    for path in (FOLDER / "pipeline").glob("*.conf")
}


def dead_letters(*events: Event) -> list[Event]:
    """What the script of the `ruby` filter makes of events."""
    if shutil.which("ruby") is None:
        unavailable("there is no ruby: scripts/setup ruby")
    done = subprocess.run(
        ["ruby", Path(__file__).with_name("logstash_event.rb"), SCRIPT],
        input="".join(f"{json.dumps(event)}\n" for event in events),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]
