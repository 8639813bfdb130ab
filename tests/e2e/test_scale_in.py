"""Scale-ins under load fail no request: bench/scale_in.py with a tenth of its scale-ins."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from support.checkout import ROOT
from support.ports import free_ports

pytestmark = pytest.mark.e2e


def test_twenty_scale_ins_under_load_fail_no_request_and_remove_the_least_busy_replica(
    artefact: Path,
) -> None:
    assert (artefact / "samples.ndjson").is_file()
    done = subprocess.run(
        # Ports of this worker's own: of those that the bench finds free, another test may take some before
        # the replicas come that are to have them.
        [sys.executable, "bench/scale_in.py", "--count", "20", "--port", str(free_ports(20))],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    told = {
        name: int(number)
        for name, number in re.findall(r"^ *(\D+?) +(\d+)", done.stdout, re.MULTILINE)
    }
    assert told["scale-ins done"] == 20
    # One that is idle leaves without finishing anything, and the gateway hides a request that was cut off.
    assert told["of one at work"] >= 10
    assert told["sent anew"] == 0
    assert told["requests failed"] == 0
    assert told["requests answered"] > 20
    judged = re.search(r"the idlest left +(\d+) of (\d+)", done.stdout)
    assert judged
    assert judged[1] == judged[2]
    # Most are judged: a replica is only left out if its load changed in the moment of its choice.
    assert int(judged[2]) >= 10
