"""Scale-ins under load fail no request: bench/scale_in.py with a twentieth of its scale-ins."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from support.checkout import ROOT
from support.ports import free_ports

pytestmark = pytest.mark.e2e

# Two and a half seconds each; bench-live makes 200.
COUNT = 10


def test_scale_ins_under_load_fail_no_request_and_remove_the_least_busy_replica(
    artefact: Path,
) -> None:
    assert (artefact / "samples.ndjson").is_file()
    done = subprocess.run(
        # Ports reserved for this worker: another test could use ports that the bench finds free before its
        # replicas start.
        [sys.executable, "bench/scale_in.py", "--count", str(COUNT), "--port", str(free_ports(20))],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    counts = {
        name: int(number)
        for name, number in re.findall(r"^ *(\D+?) +(\d+)", done.stdout, re.MULTILINE)
    }
    assert counts["scale-ins done"] == COUNT
    # An idle replica has nothing to finish, and the gateway would retry an aborted request.
    assert counts["of one at work"] >= COUNT / 2
    assert counts["sent again"] == 0
    assert counts["requests failed"] == 0
    assert counts["requests answered"] > COUNT
    judged = re.search(r"the idlest left +(\d+) of (\d+)", done.stdout)
    assert judged
    assert judged[1] == judged[2]
    # Most scale-ins are judged; one is left out only if a load changed while the replica was chosen.
    assert int(judged[2]) >= COUNT / 2
