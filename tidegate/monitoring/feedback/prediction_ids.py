"""Prediction ids: everything needed to count a later label, signed, so that any replica can accept it.

An id is base64url (no padding) of: format (1 byte), time (8, microseconds since 1970), trace id (16), span id
(8), digest of the classes (4), length of the version (1), version, row (2), class (2), confidence (4,
float32), and a signature (16). The signature is the keyed BLAKE2s of row, class and confidence; its key is
the HMAC-SHA-256 of everything before them under the service's key. So a request needs one HMAC, and each row
a hash of a third of its cost. An id is signed, not encrypted: anyone who has it can read it.

The digest is of the model's name and classes. If it is equal, the position of a class has the same meaning
for another version (docs/adr/labels-outlive-a-version.md).
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
MAX_LENGTH: Final = 250
_HEAD: Final = struct.Struct(">BQ16s8s4sB")
_ROW: Final = struct.Struct(">HHf")
_MAC_BYTES: Final = 16


class MalformedIdError(ValueError):
    """The text is not a prediction id."""


class ForgedIdError(ValueError):
    """The signature is wrong: the id was changed, or signed with another key."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """The content of the id of one row.

    Attributes:
        at_us: the time of the response, in microseconds since 1970.
        trace_id: of the request; 32 hexadecimal digits.
        span_id: of the request, unique within its trace; 16 hexadecimal digits.
        classes_digest: the digest of the model's name and classes.
        version: of the model.
        row: the row's index in the request.
        label: the position of the predicted label in the model's classes.
        confidence: the probability of that label.
        signature: unique to the prediction.
    """

    at_us: int
    trace_id: str
    span_id: str
    classes_digest: bytes
    version: str
    row: int
    label: int
    confidence: float
    signature: bytes

    @property
    def outcome_id(self) -> str:
        """The `event.id` of its outcome: the same on every replica and for every repetition of the label."""
        return hashlib.sha256(b"outcome:" + self.signature).hexdigest()[:32]


def classes_digest(model: str, classes: Sequence[str | int]) -> bytes:
    """A digest of the model's name and of its classes in order."""
    return hashlib.sha256(json.dumps([model, *classes]).encode()).digest()[:4]


class PredictionIds:
    """Creates and reads ids.

    Args:
        key: the secret that all replicas share.
        version: of the model; at most 100 characters.
        digest: the `classes_digest` of the model.
    """

    def __init__(self, key: bytes, version: str, digest: bytes) -> None:
        self._mac = hmac.new(key, digestmod=hashlib.sha256)
        self._digest = digest
        self._version = version.encode()

    def make(
        self,
        at_us: int,
        request: tuple[str, str],
        labels: Sequence[int],
        confidences: Sequence[float],
    ) -> list[str]:
        """Create an id for each row of a request.

        Args:
            at_us: the time of the response, in microseconds since 1970.
            request: its trace id and its span id, 32 and 16 hexadecimal digits.
            labels: the position of each row's predicted label in the model's classes.
            confidences: the probability of each label.
        """
        trace, span = bytes.fromhex(request[0]), bytes.fromhex(request[1])
        head = _HEAD.pack(FORMAT, at_us, trace, span, self._digest, len(self._version))
        head += self._version
        key = self._request_key(head)
        ids: list[str] = []
        for row, (label, confidence) in enumerate(zip(labels, confidences, strict=True)):
            tail = _ROW.pack(row, label, confidence)
            signed = head + tail + _sign(tail, key)
            ids.append(base64.urlsafe_b64encode(signed).rstrip(b"=").decode())
        return ids

    def read(self, text: str) -> Prediction:
        """The content of an id, of any version of the model.

        Raises:
            MalformedIdError: the text is not an id.
            ForgedIdError: the signature is wrong.
        """
        try:
            signed = _decode(text)
            _, at_us, trace, span, digest, length = _HEAD.unpack_from(signed)
            version = signed[_HEAD.size : _HEAD.size + length]
            row, label, confidence = _ROW.unpack_from(signed, _HEAD.size + length)
        except (struct.error, binascii.Error, ValueError) as error:
            raise MalformedIdError("not a prediction id") from error
        end = _HEAD.size + length + _ROW.size
        head, tail, signature = (
            signed[: end - _ROW.size],
            signed[end - _ROW.size : end],
            signed[end:],
        )
        if len(signature) != _MAC_BYTES or signed[0] != FORMAT:
            raise MalformedIdError("not a prediction id")
        if not hmac.compare_digest(_sign(tail, self._request_key(head)), signature):
            raise ForgedIdError("the signature is wrong")
        return Prediction(
            at_us,
            trace.hex(),
            span.hex(),
            digest,
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
    if len(text) > MAX_LENGTH:
        raise MalformedIdError("the text is too long")
    padded = text.encode("ascii") + b"=" * (-len(text) % 4)
    signed = base64.b64decode(padded, altchars=b"-_", validate=True)
    # The last character may have unused bits: only one spelling is valid, so that no prediction counts twice.
    if base64.urlsafe_b64encode(signed).rstrip(b"=").decode() != text:
        raise MalformedIdError("not the canonical encoding")
    return signed
