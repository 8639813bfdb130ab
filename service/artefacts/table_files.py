"""Reading a file of rows, CSV or Parquet, with one sentence for each failure."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pandas as pd

from tidegate.monitoring.counting.reference import BadReferenceError
from tidegate.os_errors import os_error_message

_CSV: Final = (".csv", ".csv.gz", ".csv.bz2", ".csv.xz", ".csv.zip", ".csv.zst")
_PARQUET: Final = (".parquet", ".pq")


def read_rows(file: Path) -> pd.DataFrame:
    """The rows of a CSV file with a header, which may be compressed, or of a Parquet file.

    Raises:
        BadReferenceError: it is neither, or cannot be read.
    """
    name = file.name.lower()
    try:
        if name.endswith(_CSV):
            return pd.read_csv(file)
        if name.endswith(_PARQUET):
            return pd.read_parquet(file, engine="pyarrow")
    except OSError as error:
        raise BadReferenceError(os_error_message(error)) from error
    except ImportError as error:
        raise BadReferenceError(
            f"{file} is Parquet, which needs pyarrow: pip install 'tidegate[parquet]'"
        ) from error
    except pd.errors.EmptyDataError as error:
        raise BadReferenceError(f"{file}: there are no rows") from error
    # pandas and pyarrow raise errors of many types for a damaged file.
    except Exception as error:
        reason = " ".join(str(error).split())
        raise BadReferenceError(f"{file} cannot be read: {reason}") from error
    raise BadReferenceError(f"{file} is neither CSV (.csv) nor Parquet (.parquet)")
