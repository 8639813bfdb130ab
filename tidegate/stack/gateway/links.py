"""What the gateway answers at `/` in local mode, where the model service has nothing: links for a person."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Final

import orjson

from tidegate.runtime.atomic_files import write_atomically

HTML: Final = "links.html"
JSON: Final = "links.json"


def write_links(folder: Path, service: str, links: Mapping[str, str]) -> None:
    """Write the links as a page and as JSON.

    Args:
        folder: that of the gateway's configuration, which names both files.
        service: the name of the service.
        links: addresses, by what is there.
    """
    items = "".join(
        f'<li><a href="{escape(address)}">{escape(name)}</a></li>\n'
        for name, address in links.items()
    )
    page = (
        f'<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>{escape(service)}</title>\n'
        f"<h1>{escape(service)}</h1>\n<ul>\n{items}</ul>\n</html>\n"
    )
    write_atomically(folder / HTML, page, durable=False)
    text = orjson.dumps({"service": service, **links}).decode() + "\n"
    write_atomically(folder / JSON, text, durable=False)
