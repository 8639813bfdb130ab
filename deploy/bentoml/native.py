"""The same with BentoML's own API and schema. The ASGI application that it makes is served as a replica."""

from __future__ import annotations

import asyncio

import bentoml
from summaries import DEVICE_SECONDS, best_sentences


@bentoml.service(workers=1, metrics={"enabled": False}, logging={"access": {"enabled": False}})
class Summaries:
    """Summaries of texts."""

    @bentoml.api(route="/summaries")
    async def summarize(self, text: str, sentences: int = 1) -> list[str]:
        """Summarize a text."""
        await asyncio.sleep(DEVICE_SECONDS)
        return best_sentences(text, sentences)


app = Summaries.to_asgi()
