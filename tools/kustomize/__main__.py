"""`python -m tools.kustomize …`, run by `make kustomize`: writes deploy/kustomize with helm."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from tools.generate.checkout import ROOT
from tools.generate.generated_files import find_stale
from tools.kustomize.objects import MARK, SETTINGS, Object, kustomize_files, parse

CHART: Final = ROOT / "deploy" / "helm" / "tidegate"
MODES: Final = ("none", "resizer", "keda-external", "keda-metrics-api", "hpa")
RELEASE: Final = "tidegate"
DEFAULTS: Final = {
    "elasticsearch.url": "http://elasticsearch.elasticsearch:9200",
    # helm would make other random ones each time.
    "secrets.existing": "tidegate-secrets",
}


def helm_program() -> str:
    """helm: the one on the path, or the one that scripts/kubernetes builds."""
    cache = Path(os.environ.get("TIDEGATE_CACHE") or Path.home() / ".cache" / "tidegate")
    found = shutil.which("helm") or shutil.which("helm", path=cache / "kubernetes" / "bin")
    if not found:
        raise SystemExit(
            "`make kustomize` needs helm: install it, or run `scripts/kubernetes tools`"
        )
    return found


def render(mode: str, namespace: str, values: Path | None) -> list[Object]:
    """The objects of the chart in a mode of scaling."""
    done = subprocess.run(
        [
            *(helm_program(), "template", RELEASE, str(CHART), "--namespace", namespace),
            *("--api-versions", "keda.sh/v1alpha1", "--api-versions", "monitoring.coreos.com/v1"),
            *(word for name, text in DEFAULTS.items() for word in ("--set", f"{name}={text}")),
            *(("--values", str(values)) if values else ()),
            *("--set", f"scaling.mode={mode}"),
            # Their check of the settings is done here.
            "--no-hooks",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(done.stderr.strip())
    objects = parse(done.stdout)
    (settings,) = (one["data"][SETTINGS] for one in objects if SETTINGS in one.get("data", {}))
    check(settings)
    return objects


def check(settings: str) -> None:
    """End with the sentence of Tidegate itself if it would not start with these settings."""
    with tempfile.NamedTemporaryFile("w", suffix=f"-{SETTINGS}", encoding="utf-8") as file:
        file.write(settings)
        file.flush()
        done = subprocess.run(
            [sys.executable, "-m", "tidegate", "settings", "--changed"],
            env=os.environ | {"TIDEGATE_CONFIG": file.name},
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        raise SystemExit(f"settings: {done.stderr.strip()}")


def main() -> int:
    """Write the files, and remove those of another version of the chart."""
    parser = argparse.ArgumentParser("python -m tools.kustomize")
    parser.add_argument("--namespace", default="tidegate", help="The namespace of all objects.")
    parser.add_argument("--values", type=Path, help="Values of the chart.")
    parser.add_argument("--out", type=Path, default=ROOT / "deploy" / "kustomize", help="Folder.")
    options = parser.parse_args()
    modes = {mode: render(mode, options.namespace, options.values) for mode in MODES}
    files = kustomize_files(modes, options.namespace)
    present = {path.relative_to(options.out) for path in options.out.rglob("*") if path.is_file()}
    for path in sorted(present - files.keys()):
        if (options.out / path).read_bytes().startswith(MARK.encode()):  # else it is somebody's own
            (options.out / path).unlink()
            print(f"{options.out / path}: removed")
    for path, text in find_stale(options.out, files).items():
        (options.out / path).parent.mkdir(parents=True, exist_ok=True)
        (options.out / path).write_text(text, encoding="utf-8")
        print(f"{options.out / path}: written")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
