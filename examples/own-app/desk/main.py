"""A support desk: it files tickets under queues and drafts replies. An ordinary FastAPI application."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

from fastapi import BackgroundTasks, FastAPI
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field

from desk.model import Desk, load_desk, words
from tidegate.serving import Loading
from tidegate.telemetry import get_logger, instrument, span

# A small language model takes about as long for a word.
WORD_SECONDS = 0.005

loading: Loading[Desk] = Loading()
log = get_logger("desk")


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """Load the models in a thread; until they are loaded, the replica is live and not ready."""
    loading.start(load_desk)
    yield


app = FastAPI(title="desk", version="1.0.0", lifespan=lifespan)
telemetry = instrument(app)
watch = telemetry.model(
    "triage", version="1.0.0", reference=Path(__file__).parents[1] / "reference.json"
)


class Ticket(BaseModel):
    """A ticket as it arrives."""

    text: str = Field(min_length=1, max_length=10_000)
    channel: str = "web"


class Filed(BaseModel):
    """The queue of a ticket."""

    queue: str
    confidence: float
    prediction_id: str


class Correction(BaseModel):
    """The queue under which a person has filed the ticket in the end."""

    prediction_id: str
    queue: str


@app.post("/tickets")
async def file_ticket(ticket: Ticket, background: BackgroundTasks) -> Filed:
    """File a ticket under a queue."""
    desk = await loading.until_loaded()
    with span("triage", characters=len(ticket.text)):
        queue, confidence = desk.triage.queue(ticket.text)
    row = {
        "channel": ticket.channel,
        "hour": datetime.now(UTC).hour,
        "words": len(words(ticket.text)),
    }
    (prediction_id,) = watch.observe([row], [queue], [confidence])
    background.add_task(notify, queue)
    return Filed(queue=queue, confidence=round(confidence, 4), prediction_id=prediction_id)


@app.post("/corrections")
def correct(correction: Correction) -> dict[str, str]:
    """Take the true queue of a ticket."""
    watch.outcome(correction.prediction_id, correction.queue)
    return {"status": "accepted"}


@app.post("/replies")
async def draft_reply(ticket: Ticket) -> StreamingResponse:
    """Draft a reply, word by word."""
    desk = await loading.until_loaded()
    queue, _ = desk.triage.queue(ticket.text)

    async def stream() -> AsyncIterator[str]:
        with span("write", queue=queue):
            for word in desk.writers[queue].write(ticket.text, length=30):
                await asyncio.sleep(WORD_SECONDS)
                yield word + " "

    return StreamingResponse(stream(), media_type="text/plain")


def notify(queue: str) -> None:
    """Tell the people of a queue; here it writes a log line."""
    log.info("ticket filed", queue=queue)
