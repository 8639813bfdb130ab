"""The path of a model, which may be the import string of a predictor in Python."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

_IMPORT: Final = re.compile(r"[^:]+:[^\W\d]\w*(\.[^\W\d]\w*)*")


def is_import_string(path: Path) -> bool:
    """Whether a model's path is `package.module:Class`, and not a file or a folder."""
    return not path.is_absolute() and bool(_IMPORT.fullmatch(str(path))) and not path.exists()
