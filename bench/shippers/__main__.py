"""The collector beside other shippers of files: what each loses and doubles under the same faults.

All ship the same kind of files, which are rotated each second, into one real Elasticsearch, each in the
configuration that its own documentation recommends against loss. Those of one fault run at the same time.
Needs root for the full disk, and what `scripts/shippers install` builds.

    python -m bench.shippers
    python -m bench.shippers --faults kills after --shippers tidegate
    python -m bench.shippers --out docs/reliability.md    # also writes the table between its marks
"""

from __future__ import annotations

import argparse
import math
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from bench.shippers.faults import FAULTS, Fault  # noqa: E402
from bench.shippers.shippers import SCRIPT, SHIPPERS, Shipper  # noqa: E402
from bench.shippers.trial import RATE, Outcome, trial  # noqa: E402
from support.processes.elasticsearch_server import running  # noqa: E402

MARKS = ("<!-- shippers -->", "<!-- end of shippers -->")


def main() -> int:
    """Measure, print and write; returns 1 if ours lost or doubled anything."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.shippers",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--faults", nargs="+", choices=[*FAULTS], default=[*FAULTS])
    parser.add_argument("--shippers", nargs="+", choices=[*SHIPPERS], default=[*SHIPPERS])
    parser.add_argument("--out", type=Path, help="write the table between its marks in this page")
    options = parser.parse_args()
    shippers = [SHIPPERS[each] for each in options.shippers]
    if options.shippers != ["tidegate"]:
        subprocess.run([SCRIPT, "install"], check=True)
    rows: list[tuple[Fault, list[Outcome]]] = []
    with running() as server, ThreadPoolExecutor(len(shippers)) as threads:
        for number, key in enumerate(options.faults, 1):
            fault = FAULTS[key]
            print(f"{fault.title} ({number} of {len(options.faults)})", file=sys.stderr, flush=True)

            def one(shipper: Shipper, fault: Fault = fault) -> Outcome:
                return trial(shipper, fault, server.url)

            outcomes = list(threads.map(one, shippers))
            for shipper, outcome in zip(shippers, outcomes, strict=True):
                print(f"  {shipper.name}: {outcome}", file=sys.stderr, flush=True)
            rows.append((fault, outcomes))
    text = table(shippers, rows)
    print(text)
    if options.out:
        begin, end = MARKS
        page = options.out.read_text()
        marked = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
        options.out.write_text(marked.sub(lambda _: f"{begin}\n{text}\n{end}", page))
    ours = [
        one
        for _, found in rows
        for each, one in zip(shippers, found, strict=True)
        if each is SHIPPERS["tidegate"]
    ]
    return int(any(one.lost or one.doubled or one.recovery == math.inf for one in ours))


def table(shippers: Sequence[Shipper], rows: Sequence[tuple[Fault, Sequence[Outcome]]]) -> str:
    """The table in Markdown: lost, doubled, and the seconds until all was there."""
    what = f"{RATE} events a second: lost · doubled · seconds until the last document came"
    lines = [
        f"Measured on {time.strftime('%Y-%m-%d')}, {what}.",
        "",
        f"| fault | {' | '.join(each.name for each in shippers)} |",
        f"| --- |{' ---: |' * len(shippers)}",
    ]
    for fault, outcomes in rows:
        cells = [f"{one.lost:,} · {one.doubled:,} · {one.recovery:.0f}" for one in outcomes]
        lines.append(f"| {fault.title} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
