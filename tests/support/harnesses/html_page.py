"""What a page of HTML fetches and says."""

from __future__ import annotations

from html.parser import HTMLParser


class HtmlPage(HTMLParser):
    """Every URL that a browser would fetch, and all text, its words a space apart."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.urls: list[str] = []
        self._words: list[str] = []
        self.feed(html)

    @property
    def text(self) -> str:
        return " ".join(self._words)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag != "a":
            self.urls += [v or "" for name, v in attrs if name in {"src", "srcset", "href"}]

    def handle_data(self, data: str) -> None:
        self._words += data.split()
