"""What is made for people once the settings are known."""

from collections.abc import Sequence
from importlib import metadata

import orjson

from oryx_py.config import Api
from serving_layer.api.operation import Operation
from serving_layer.openapi.document import openapi_document
from serving_layer.pages.files import File, Pages, page

__all__ = ["pages_of"]


def pages_of(api: Api, operations: Sequence[Operation]) -> Pages:
    """Render the console, the documentation, and the document of the endpoints, which this shows."""
    document = openapi_document(
        operations,
        context_path=api.context_path,
        read_only=api.read_only,
        default_format=api.default_format,
        version=metadata.version("oryx-py"),
    )
    prefix = api.context_path.strip("/")
    base = f"/{prefix}/" if prefix else "/"
    return Pages(
        console=page("console.html", base=base, writes="no" if api.read_only else "yes"),
        docs=page("docs.html", base=base),
        openapi=File("json", orjson.dumps(document)),
    )
