"""Elasticsearch's disk watermarks, from the env file of its container."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tidegate.observability_files.paths import observability_folder

FILE: Final = Path("elasticsearch", "watermarks.env")
GIB: Final = 2**30
_LINE: Final = re.compile(
    r"^cluster\.routing\.allocation\.disk\.watermark\.(low|high|flood_stage)=(\d+)gb$", re.MULTILINE
)


@dataclass(frozen=True, slots=True)
class Watermarks:
    """Free bytes of a disk."""

    low: int  # below it Elasticsearch assigns no further copy of a shard
    high: int  # below it, no new index
    flood_stage: int  # below it, its indices are read-only


def read_watermarks(folder: Path | None = None) -> Watermarks:
    """The watermarks of a folder observability/, of the package by default.

    Raises:
        OSError: the file cannot be read.
        ValueError: it does not hold the three, as whole `gb`, in falling order.
    """
    path = (folder or observability_folder()) / FILE
    found = {name: int(size) * GIB for name, size in _LINE.findall(path.read_text("utf-8"))}
    if found.keys() != {"low", "high", "flood_stage"}:
        raise ValueError(f"{path} must set low, high and flood_stage, each as a number and `gb`")
    marks = Watermarks(**found)
    if not marks.low >= marks.high >= marks.flood_stage:
        raise ValueError(f"{path}: low must be at least high, and high at least flood_stage")
    return marks
