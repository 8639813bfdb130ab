"""Start or end a cluster by hand: `scripts/kubernetes up FOLDER`, `scripts/kubernetes down FOLDER`."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from support.kubernetes import cluster, namespaces, programs


def up(folder: Path, images: tuple[str, ...]) -> None:
    if folder.exists() and any(folder.iterdir()):
        sys.exit(
            f"kubernetes: {folder} is not empty: name another folder, or end the cluster in it"
        )
    if absent := programs.missing(*cluster.PROGRAMS):
        sys.exit(f"kubernetes: not built: {', '.join(absent)} (run `scripts/kubernetes build`)")
    started = cluster.start(folder, images=images, outlive=True)
    print(f"export KUBECONFIG={started.kubeconfig} PATH={programs.BIN}:$PATH")


def down(folder: Path) -> None:
    if not (folder / "namespaces").exists():
        sys.exit(f"kubernetes: {folder} has no cluster")
    namespaces.end_recorded(folder)
    shutil.rmtree(folder)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["up", folder, *images]:
            up(Path(folder).absolute(), tuple(images))
        case ["down", folder]:
            down(Path(folder).absolute())
        case _:
            sys.exit("kubernetes: up FOLDER [IMAGE...] or down FOLDER")
