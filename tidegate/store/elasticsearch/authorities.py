"""The certificate authorities that a client of Elasticsearch trusts."""

from __future__ import annotations

from typing import Any

from tidegate.runtime.http_client import tls_context
from tidegate.settings import Elasticsearch


def authority_options(settings: Elasticsearch) -> dict[str, Any]:
    """The options of `elasticsearch.Elasticsearch` for `store.elasticsearch.ca_file`; none if it is unset.

    Raises:
        HttpError: the file cannot be read. The client itself names no setting.
    """
    if settings.ca_file is None:
        return {}
    tls_context(settings.ca_file, "store.elasticsearch.ca_file")
    return {"ca_certs": str(settings.ca_file)}
