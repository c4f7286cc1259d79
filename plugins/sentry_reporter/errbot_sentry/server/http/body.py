"""From the bytes of an answer to JSON, with a bound on everything: size, unpacked size, nesting, numbers, encoding."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from typing import Any

_PIECE = 65536
_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS


class TooManyBytes(Exception):
    """More than the limit, packed or unpacked."""


class Undecodable(Exception):
    """Not JSON that can be used; the text says why, without quoting any of it."""


def read_bounded(read: Callable[[int], bytes], encoding: str, limit: int) -> bytes:
    """The unpacked body, read piece by piece.

    Unpacking is done here, not by the HTTP library, so that a few kilobytes which unpack to gigabytes are stopped at
    the limit and never in memory.

    Args:
        read: gives up to that many raw bytes, `b""` at the end.
        encoding: the answer's Content-Encoding.
        limit: bytes.

    Raises:
        TooManyBytes, Undecodable
    """
    coding = encoding.strip().lower()
    if coding in ("", "identity"):
        return _read_plain(read, limit)
    if coding not in ("gzip", "x-gzip", "deflate"):
        raise Undecodable("it is compressed in a way that was not requested")
    return _read_packed(read, limit)


def _read_plain(read: Callable[[int], bytes], limit: int) -> bytes:
    body = bytearray()
    while piece := read(_PIECE):
        body += piece
        if len(body) > limit:
            raise TooManyBytes
    return bytes(body)


def _read_packed(read: Callable[[int], bytes], limit: int) -> bytes:
    unpack = zlib.decompressobj(_GZIP_OR_ZLIB)
    body = bytearray()
    try:
        while piece := read(_PIECE):
            body += unpack.decompress(piece, limit + 1 - len(body))
            if len(body) > limit or unpack.unconsumed_tail:
                raise TooManyBytes
            if unpack.eof:
                break
    except zlib.error as error:
        raise Undecodable("its packing is broken") from error
    if not unpack.eof:
        raise Undecodable("it ends too early")
    return bytes(body)


def decode(body: bytes) -> Any:
    """JSON as Python has it; an empty body is None.

    Raises:
        Undecodable
    """
    if not body.strip():
        return None
    try:
        return json.loads(body.decode("utf-8"), parse_constant=_refuse_constant)
    except UnicodeDecodeError as error:
        raise Undecodable("it is not UTF-8") from error
    except RecursionError as error:
        raise Undecodable("it is nested too deeply") from error
    except ValueError as error:  # JSONDecodeError, and numbers of thousands of digits
        raise Undecodable("it is not JSON") from error


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
