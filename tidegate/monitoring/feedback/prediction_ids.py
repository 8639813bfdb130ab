"""Prediction ids: everything needed to count a later label, signed, so that any replica can accept it.

An id is base64url (no padding) of: format (1 byte), time (8, microseconds since 1970), trace id (16), span id
(8), digest of the labels (4), length of the version (1), version, the row, and a signature (16). Format 4 is
the id of a predicted number; its row is: index (2), value (8, float64), half the width of its interval (8,
float64; NaN if it has none). Format 5 is the id of a predicted label; its row is: index (2), confidence (4,
float32; NaN if it has none), length of the label (1), label (UTF-8). A model whose classes are known has the
position of the class as its label.

The signature is the keyed BLAKE2s of the row; its key is the HMAC-SHA-256 of everything before it under the
service's key. So a request needs one HMAC, and each row a hash of a third of its cost. An id is signed, not
encrypted: anyone who has it can read it.

The digest is of the model's name and its classes, or its target. If it is equal, a label means the same for
another version. So labels that come after a deployment count, without a list of the versions served: it
would have to be written, locked and shared by the replicas, and prove less than the signature does. The
digest is in the id and not only signed: else a model with other classes could not be told from a forgery.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import math
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

VALUE_FORMAT: Final = 4
LABEL_FORMAT: Final = 5
MAX_LENGTH: Final = 350
_HEAD: Final = struct.Struct(">BQ16s8s4sB")
_ROWS: Final = {
    VALUE_FORMAT: struct.Struct(">Hdd"),
    LABEL_FORMAT: struct.Struct(">HfB"),
}
_MAC_BYTES: Final = 16


class MalformedIdError(ValueError):
    """The text is not a prediction id."""


class ForgedIdError(ValueError):
    """The signature is wrong: the id was changed, or signed with another key."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """The content of the id of one row."""

    at_us: int
    """The time of the response, in microseconds since 1970."""
    trace_id: str
    """Of the request; 32 hexadecimal digits."""
    span_id: str
    """Of the request, unique within its trace; 16 hexadecimal digits."""
    digest: bytes
    """That of the model's name and its classes or target."""
    version: str
    row: int
    """The row's index in the request."""
    signature: bytes
    """Unique to the prediction."""
    value: str | float
    certainty: float | None
    """The probability of the label, or half the width of the number's interval; None without one."""

    @property
    def outcome_id(self) -> str:
        """The `event.id` of its outcome: the same on every replica and for every repetition of the label."""
        return _outcome_id(self.signature)


def model_digest(described: Mapping[str, Any] | Sequence[Any]) -> bytes:
    """A digest of the model's name and of what tells its labels from those of another model."""
    return hashlib.sha256(json.dumps(described).encode()).digest()[:4]


class PredictionIds:
    """Creates and reads ids of a model's version, of at most 100 characters, with the key of all replicas."""

    def __init__(self, key: bytes, version: str, digest: bytes) -> None:
        self._mac = hmac.new(key, digestmod=hashlib.sha256)
        self._digest = digest
        self._version = version.encode()

    def make(
        self,
        at_us: int,
        request: tuple[str, str],
        labels: Sequence[str],
        confidences: Sequence[float] | None = None,
    ) -> list[str]:
        """Create an id for each row of a request to a classifier.

        Args:
            at_us: the time of the response, in microseconds since 1970.
            request: its trace id and its span id, 32 and 16 hexadecimal digits.
            labels: the predicted labels, of at most 100 bytes.
            confidences: the probability of each label; None if they are not known.
        """
        pack = _ROWS[LABEL_FORMAT].pack
        known = [math.nan] * len(labels) if confidences is None else confidences
        texts = [label.encode() for label in labels]
        rows = (
            pack(row, confidence, len(text)) + text
            for row, (text, confidence) in enumerate(zip(texts, known, strict=True))
        )
        return self._make(LABEL_FORMAT, at_us, request, rows)

    def make_values(
        self,
        at_us: int,
        request: tuple[str, str],
        values: Sequence[float],
        half_width: float | None = None,
    ) -> list[str]:
        """As `make`, for a regressor whose interval has this half width."""
        pack = _ROWS[VALUE_FORMAT].pack
        width = math.nan if half_width is None else half_width
        rows = (pack(row, value, width) for row, value in enumerate(values))
        return self._make(VALUE_FORMAT, at_us, request, rows)

    def read(self, text: str) -> Prediction:
        """The content of an id, of any version of the model.

        Raises:
            MalformedIdError: the text is not an id.
            ForgedIdError: the signature is wrong.
        """
        try:
            signed = _decode(text)
            row_format = _ROWS[signed[0]]
            _, at_us, trace, span, digest, length = _HEAD.unpack_from(signed)
            start = _HEAD.size + length
            version = signed[_HEAD.size : start].decode()
            row, first, second = row_format.unpack_from(signed, start)
            end = start + row_format.size
            value, certainty = first, second
            if signed[0] == LABEL_FORMAT:
                value, certainty = signed[end : end + second].decode(), first
                end += second
        except (struct.error, binascii.Error, ValueError, LookupError) as error:
            raise MalformedIdError("not a prediction id") from error
        signature = signed[end:]
        if len(signature) != _MAC_BYTES:
            raise MalformedIdError("not a prediction id")
        key = self._request_key(signed[:start])
        signer = _signer(key)
        signer.update(signed[start:end])
        if not hmac.compare_digest(signer.digest(), signature):
            raise ForgedIdError("the signature is wrong")
        known = None if math.isnan(certainty) else certainty
        request = (at_us, trace.hex(), span.hex())
        return Prediction(*request, digest, version, row, signature, value, known)

    def _make(
        self, id_format: int, at_us: int, request: tuple[str, str], rows: Iterable[bytes]
    ) -> list[str]:
        trace, span = bytes.fromhex(request[0]), bytes.fromhex(request[1])
        head = _HEAD.pack(id_format, at_us, trace, span, self._digest, len(self._version))
        head += self._version
        # What does not depend on the row is hashed and encoded once: whole groups of three bytes of the head.
        signer = _signer(self._request_key(head))
        encoded = len(head) // 3 * 3
        prefix, rest = _encode(head[:encoded]), head[encoded:]
        ids = []
        for row in rows:
            mac = signer.copy()
            mac.update(row)
            ids.append(prefix + _encode(rest + row + mac.digest()))
        return ids

    def _request_key(self, head: bytes) -> bytes:
        mac = self._mac.copy()
        mac.update(head)
        return mac.digest()


def outcome_id(prediction_id: str) -> str:
    """The `event.id` of the outcome of a valid prediction id."""
    return _outcome_id(_decode(prediction_id)[-_MAC_BYTES:])


def _outcome_id(signature: bytes) -> str:
    return hashlib.sha256(b"outcome:" + signature).hexdigest()[:32]


def _signer(key: bytes) -> hashlib.blake2s:
    return hashlib.blake2s(key=key, digest_size=_MAC_BYTES)


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    if len(text) > MAX_LENGTH:
        raise MalformedIdError("the text is too long")
    padded = text.encode("ascii") + b"=" * (-len(text) % 4)
    signed = base64.b64decode(padded, altchars=b"-_", validate=True)
    # The last character may have unused bits: only one spelling is valid, so that no prediction counts twice.
    if _encode(signed) != text:
        raise MalformedIdError("not the canonical encoding")
    return signed
