"""Answers in JSON and CSV; floats in float32's shortest form in both."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import orjson
from aiohttp import hdrs, web
from numpy.typing import NDArray

from oryx_py.events.csv_line import join_fields
from serving_layer.handlers.negotiation import Form

__all__ = ["ids", "numbers", "pairs"]

_NUMPY = orjson.OPT_SERIALIZE_NUMPY


def pairs(form: Form, names: Sequence[str], key: str, values: NDArray[Any]) -> web.Response:
    """Write IDs with a value each: objects with ``id`` and ``key``, or lines ``id,value``."""
    if form.kind == "json":
        rows = [{"id": name, key: value} for name, value in zip(names, values, strict=True)]
        return _response(form, orjson.dumps(rows, option=_NUMPY))
    lines = zip(names, _texts(values), strict=True)
    return _response(form, "".join([f"{join_fields([name])},{text}\n" for name, text in lines]).encode())


def ids(form: Form, names: Sequence[str]) -> web.Response:
    """Write IDs: an array, or a line for each."""
    if form.kind == "json":
        return _response(form, orjson.dumps(names))
    return _response(form, "".join([f"{join_fields([name])}\n" for name in names]).encode())


def numbers(form: Form, values: NDArray[np.float32]) -> web.Response:
    """Write numbers: an array, or a line for each."""
    if form.kind == "json":
        return _response(form, orjson.dumps(values, option=_NUMPY))
    return _response(form, "".join([f"{text}\n" for text in _texts(values)]).encode())


def _texts(values: NDArray[Any]) -> list[str]:
    text = orjson.dumps(np.ascontiguousarray(values), option=_NUMPY)[1:-1].decode()
    return text.split(",") if text else []


def _response(form: Form, body: bytes) -> web.Response:
    return web.Response(body=body, headers={hdrs.CONTENT_TYPE: form.media_type, hdrs.VARY: "Accept, Accept-Encoding"})
