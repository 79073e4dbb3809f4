"""Requests as bytes: one canonical JSON list of lists, integers and short words.

Bytes come from the network, so they are judged before they are parsed: length, alphabet, digits of
an integer, depth. What follows costs time and memory in proportion to their length. Only the
canonical form is read: a request decodes to the text, and so to the digest, that its sender had.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from itertools import accumulate
from typing import Any

from ..errors import RequestError
from .checks import check
from .fields import fields, refuse, sequence
from .limits import Limits
from .requests import BitView, MaskView, Operand, Request

_MOST_OPERANDS, _MOST_PARAMS = 4, 8
# list, request, operands, bits, source request, its operands, mask, size
_MOST_DEPTH = 8
_FOREIGN = re.compile(rb'[^a-z_0-9\[\]",-]')
_LONG_NUMBER = re.compile(rb"[0-9]{21}")
_BUT_BRACKETS = bytes(set(range(256)) - set(b"[]"))


def encode(requests: Sequence[Request]) -> bytes:
    """Requests as bytes, in order."""
    return b"[" + b",".join(request.text for request in requests) + b"]"


def decode(data: bytes, limits: Limits) -> list[Request]:
    """The requests that `encode` wrote, each checked completely.

    Raises RequestError for anything else, and where a request asks for more than the limits let.
    """
    tree = _parsed(data, limits)
    sequence("requests", tree, limits.requests)
    requests = []
    for index, entry in enumerate(tree):
        try:
            request = _request(entry)
            check(request, limits)
        except RequestError as error:
            raise RequestError(f"request {index} of the list: {error}") from None
        requests.append(request)
    if encode(requests) != data:
        raise RequestError("the list of requests is not in its canonical form")
    return requests


def _parsed(data: bytes, limits: Limits) -> Any:
    """The tree of lists, words and integers of 20 digits, no deeper than requests are."""
    if len(data) > limits.frame_bytes:
        raise RequestError(
            f"a list of requests has {len(data)} bytes, more than the {limits.frame_bytes} of"
            " `frame_bytes`, a setting of the provider; send shorter lists, or raise it there"
        )
    if foreign := _FOREIGN.search(data):
        raise RequestError(f"byte {foreign.start()} is {foreign[0]!r}, which no request has")
    if number := _LONG_NUMBER.search(data):
        raise RequestError(f"an integer of more than 20 digits begins at byte {number.start()}")
    if _depth(data) > _MOST_DEPTH:
        raise RequestError(f"lists are nested more than {_MOST_DEPTH} deep; requests never are")
    try:
        return json.loads(data.decode("ascii"))
    except json.JSONDecodeError as error:
        raise RequestError(f"not a list of requests: {error}") from None


def _depth(data: bytes) -> int:
    brackets = data.translate(None, _BUT_BRACKETS)
    return max(accumulate(1 if byte == ord("[") else -1 for byte in brackets), default=0)


def _request(tree: Any) -> Request:
    op, number, operands, params = fields("request", tree, "op", "number", "operands", "params")
    if not isinstance(op, str):
        raise refuse("op", op, "a word")
    if type(number) is not int:
        raise refuse("number", number, "an integer")
    sequence("operands", operands, _MOST_OPERANDS)
    sequence("params", params, _MOST_PARAMS)
    return Request(op, number, tuple(map(_operand, operands)), _frozen(params))


def _operand(tree: Any) -> Operand:
    kind = tree[0] if isinstance(tree, list) and tree else None
    if kind == "mask":
        _, *numbers = fields("operand", tree, "kind", "id", "numel", "size", "stride", "offset")
        return MaskView(*map(_frozen, numbers))
    if kind == "bits":
        names = ("kind", "source", "threshold", "numel", "size", "stride", "offset")
        _, source, *numbers = fields("operand", tree, *names)
        return BitView(_request(source), *map(_frozen, numbers))
    raise refuse("operand", tree, "a view of a mask or of bits")


def _frozen(value: Any) -> Any:
    """Lists as tuples; what else they hold is checked where it is known what it should be."""
    return tuple(map(_frozen, value)) if isinstance(value, list) else value
