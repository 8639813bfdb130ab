"""The models of the desk: which queue a ticket belongs to, and how a reply goes on. Both count words."""

from __future__ import annotations

import csv
import math
import random
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

TICKETS = Path(__file__).parents[1] / "tickets.csv"
WORD = re.compile(r"[a-z']+")


def words(text: str) -> list[str]:
    """The words of a text."""
    return WORD.findall(text.lower())


@dataclass(frozen=True)
class Triage:
    """A multinomial naive Bayes classifier with add-one smoothing."""

    counts: dict[str, Counter[str]]
    tickets: Counter[str]
    vocabulary: int

    def queue(self, text: str) -> tuple[str, float]:
        """The most probable queue of a ticket, and its probability."""
        logs = {queue: self._log(queue, words(text)) for queue in self.tickets}
        best = max(logs, key=lambda queue: logs[queue])
        return best, 1 / sum(math.exp(log - logs[best]) for log in logs.values())

    def _log(self, queue: str, text: list[str]) -> float:
        counts = self.counts[queue]
        total = counts.total() + self.vocabulary
        return math.log(self.tickets[queue]) + sum(
            math.log((counts[word] + 1) / total) for word in text
        )


@dataclass(frozen=True)
class Writer:
    """A Markov chain over pairs of words."""

    following: dict[tuple[str, str], list[str]]
    starts: list[tuple[str, str]]

    def write(self, seed: str, length: int) -> Iterator[str]:
        """The words of a reply; the same seed gives the same reply."""
        draw = random.Random(seed)  # noqa: S311 (not for secrets)
        pair = draw.choice(self.starts)
        yield from pair
        for _ in range(length - 2):
            if pair not in self.following:
                return
            word = draw.choice(self.following[pair])
            yield word
            pair = (pair[1], word)


@dataclass(frozen=True)
class Desk:
    """The models, by the queue of the ticket for the writer."""

    triage: Triage
    writers: dict[str, Writer]


def load_desk(file: Path = TICKETS) -> Desk:
    """Train both models on past tickets and their replies."""
    with file.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    replies: dict[str, list[list[str]]] = defaultdict(list)
    for row in rows:
        counts[row["queue"]].update(words(row["text"]))
        replies[row["queue"]].append(row["reply"].split())
    triage = Triage(
        dict(counts),
        Counter(row["queue"] for row in rows),
        len({word for each in counts.values() for word in each}),
    )
    return Desk(triage, {queue: _writer(texts) for queue, texts in replies.items()})


def _writer(texts: list[list[str]]) -> Writer:
    following: dict[tuple[str, str], list[str]] = defaultdict(list)
    for text in texts:
        for first, second, third in zip(text, text[1:], text[2:], strict=False):
            following[first, second].append(third)
    return Writer(dict(following), [(text[0], text[1]) for text in texts])
