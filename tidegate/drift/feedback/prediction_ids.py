"""Prediction ids: what a label that comes later needs to be counted, signed, so that any replica takes it.

An id is base64url (no padding) of: format (1 byte), time (8, microseconds since 1970), trace id (16), span id
(8), digest of what is answered (4), length of the version (1), version, row (2), class (2), confidence (4,
float32), and a signature (16). The signature of row, class and confidence is their keyed BLAKE2s, and its key
the HMAC-SHA-256 of all before them under the service's own key: so a request of many rows takes one HMAC, and
each row a hash of a third of its cost. An id is signed, not encrypted: whoever has it can read it.

The digest is of the model's name and classes: it tells whether the position of a class means the same to
another version (docs/adr/labels-outlive-a-version.md).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

FORMAT: Final = 3
LONGEST: Final = 250
_HEAD: Final = struct.Struct(">BQ16s8s4sB")
_ROW: Final = struct.Struct(">HHf")
_MAC_BYTES: Final = 16


class MalformedIdError(ValueError):
    """It is no prediction id at all."""


class ForgedIdError(ValueError):
    """Its signature is not ours: it was changed, or signed with another key."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """What an id tells of one answered row.

    Attributes:
        at_us: when it was answered, in microseconds since 1970.
        trace_id: of its request; 32 hexadecimal digits.
        span_id: of its request, which tells it from others of its trace; 16 hexadecimal digits.
        answers: the digest of the model's name and classes.
        version: the model's.
        row: its place in the request.
        label: the position of the label given in the model's classes.
        confidence: the probability of that label.
        signature: tells it from every other one.
    """

    at_us: int
    trace_id: str
    span_id: str
    answers: bytes
    version: str
    row: int
    label: int
    confidence: float
    signature: bytes

    @property
    def outcome_id(self) -> str:
        """The `event.id` of its outcome: the same wherever and however often its label comes in."""
        return hashlib.sha256(b"outcome:" + self.signature).hexdigest()[:32]


def classes_digest(model: str, classes: Sequence[str | int]) -> bytes:
    """The digest by which an id tells of which model it is, and of which classes in which order."""
    return hashlib.sha256(json.dumps([model, *classes]).encode()).digest()[:4]


class PredictionIds:
    """Makes and reads ids.

    Args:
        key: the secret of all replicas.
        version: the model's, of at most 100 characters.
        answers: the `classes_digest` of the model.
    """

    def __init__(self, key: bytes, version: str, answers: bytes) -> None:
        self._mac = hmac.new(key, digestmod=hashlib.sha256)
        self._answers = answers
        self._version = version.encode()

    def make(
        self,
        at_us: int,
        request: tuple[str, str],
        labels: Sequence[int],
        confidences: Sequence[float],
    ) -> list[str]:
        """An id for each row of one request.

        Args:
            at_us: when it is answered, in microseconds since 1970.
            request: its trace id and its span id, 32 and 16 hexadecimal digits.
            labels: the position of each row's label in the model's classes.
            confidences: the probability of each.
        """
        trace, span = bytes.fromhex(request[0]), bytes.fromhex(request[1])
        head = _HEAD.pack(FORMAT, at_us, trace, span, self._answers, len(self._version))
        head += self._version
        key = self._request_key(head)
        made: list[str] = []
        for row, (label, confidence) in enumerate(zip(labels, confidences, strict=True)):
            tail = _ROW.pack(row, label, confidence)
            signed = head + tail + _sign(tail, key)
            made.append(base64.urlsafe_b64encode(signed).rstrip(b"=").decode())
        return made

    def read(self, text: str) -> Prediction:
        """What an id tells, of whatever version of the model it is.

        Raises:
            MalformedIdError: it is no id.
            ForgedIdError: it is not signed by us.
        """
        try:
            signed = _decode(text)
            _, at_us, trace, span, answers, length = _HEAD.unpack_from(signed)
            version = signed[_HEAD.size : _HEAD.size + length]
            row, label, confidence = _ROW.unpack_from(signed, _HEAD.size + length)
        except (struct.error, binascii.Error, ValueError) as error:
            raise MalformedIdError("it is no prediction id") from error
        end = _HEAD.size + length + _ROW.size
        head, tail, signature = (
            signed[: end - _ROW.size],
            signed[end - _ROW.size : end],
            signed[end:],
        )
        if len(signature) != _MAC_BYTES or signed[0] != FORMAT:
            raise MalformedIdError("it is no prediction id")
        if not hmac.compare_digest(_sign(tail, self._request_key(head)), signature):
            raise ForgedIdError("its signature is not ours")
        return Prediction(
            at_us,
            trace.hex(),
            span.hex(),
            answers,
            version.decode(),
            row,
            label,
            confidence,
            bytes(signature),
        )

    def _request_key(self, head: bytes) -> bytes:
        mac = self._mac.copy()
        mac.update(head)
        return mac.digest()


def _sign(row: bytes, key: bytes) -> bytes:
    return hashlib.blake2s(row, key=key, digest_size=_MAC_BYTES).digest()


def _decode(text: str) -> bytes:
    if len(text) > LONGEST:
        raise MalformedIdError("it is too long")
    padded = text.encode("ascii") + b"=" * (-len(text) % 4)
    signed = base64.b64decode(padded, altchars=b"-_", validate=True)
    # The last character may have bits to spare: only one spelling is taken, so that none counts twice.
    if base64.urlsafe_b64encode(signed).rstrip(b"=").decode() != text:
        raise MalformedIdError("it is spelt in another way")
    return signed
