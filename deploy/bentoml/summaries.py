"""An ordinary FastAPI application: it picks the sentences of a text that say most of it.

H. P. Luhn, The automatic creation of literature abstracts, IBM Journal 2 (1958): a sentence counts by the
frequency of its words in the text, common words left out.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections import Counter
from typing import Annotated

from fastapi import FastAPI
from pydantic import BaseModel, Field

COMMON = frozenset(
    [
        *(
            "a",
            "an",
            "and",
            "are",
            "as",
            "at",
            "be",
            "but",
            "by",
            "for",
            "from",
            "has",
            "have",
            "in",
        ),
        *(
            "is",
            "it",
            "its",
            "not",
            "of",
            "on",
            "or",
            "that",
            "the",
            "their",
            "this",
            "to",
            "was",
            "with",
        ),
    ]
)
# A language model on an accelerator would hold the request for about as long; it costs no CPU.
DEVICE_SECONDS = float(os.environ.get("DEVICE_SECONDS", "0.15"))

app = FastAPI(title="summaries", version="1.0.0")


class Text(BaseModel):
    """What to summarize."""

    text: Annotated[str, Field(min_length=1, max_length=100_000)]
    sentences: Annotated[int, Field(ge=1, le=20)] = 1


class Summary(BaseModel):
    """The chosen sentences, in their order."""

    summary: list[str]


@app.post("/summaries")
async def summarize(request: Text) -> Summary:
    """Summarize a text."""
    await asyncio.sleep(DEVICE_SECONDS)
    return Summary(summary=best_sentences(request.text, request.sentences))


def best_sentences(text: str, count: int) -> list[str]:
    """The sentences whose words are the most frequent of the text, in their order."""
    sentences = [part.strip() for part in re.split(r"(?<=[.!?])\s+", text) if part.strip()]
    frequency = Counter(word for sentence in sentences for word in words(sentence))
    weight = {
        index: sum(frequency[word] for word in words(sentence)) / max(1, len(words(sentence)))
        for index, sentence in enumerate(sentences)
    }
    best = sorted(weight, key=lambda index: (-weight[index], index))[:count]
    return [sentences[index] for index in sorted(best)]


def words(sentence: str) -> list[str]:
    """The words of a sentence that carry meaning."""
    return [word for word in re.findall(r"[a-z']+", sentence.lower()) if word not in COMMON]
