"""The pages' files, which ship with this package and with ``offapi`` (Swagger UI): nothing comes from elsewhere."""

from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from hashlib import sha256
from html import escape
from importlib import resources
from string import Template
from typing import Final

from serving_layer.http_semantics.accept_encoding import Coding
from serving_layer.http_semantics.compression import compressed

__all__ = ["FILES", "File", "Pages", "file", "packed", "page"]

_TYPES: Final = {
    "css": "text/css; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "json": "application/json",
    "svg": "image/svg+xml",
}
_OURS: Final = "serving_layer.pages"
FILES: Final = {
    "console.css": _OURS,
    "console.js": _OURS,
    "docs.css": _OURS,
    "docs.js": _OURS,
    "icon.svg": _OURS,
    "swagger_bundle.js": "offapi",
    "swagger_style.css": "offapi",
}
"""By name the package that a file is in; only these are ever served."""


@dataclass(frozen=True)
class File:
    """What is sent as it is.

    Args:
        kind: what a file's name ends in, which tells its media type.
        body: its bytes.
        lasting: whether its address changes with its content, so that a browser need not ask again.
    """

    kind: str
    body: bytes
    lasting: bool = False

    @property
    def media_type(self) -> str:
        """The value of ``Content-Type``."""
        return _TYPES[self.kind]

    @cached_property
    def digest(self) -> str:
        """Of the content, for ``ETag`` and addresses."""
        return sha256(self.body).hexdigest()[:16]


@lru_cache(64)
def packed(found: File, coding: Coding) -> bytes:
    """Return a file's body compressed; once and for all, since the largest takes a twentieth of a second."""
    return compressed(found.body, coding)


@cache
def file(name: str) -> File:
    """Return one of `FILES`.

    Raises:
        KeyError: there is none of this name.
    """
    return File(name.rpartition(".")[2], (resources.files(FILES[name]) / name).read_bytes(), lasting=True)


def page(name: str, **values: str) -> File:
    """Return a page of this package, with ``$name`` in it replaced by values, and ``$file_…`` by the files' addresses.

    The addresses are relative: the page says by ``<base>`` to what.
    """
    template = Template((resources.files(_OURS) / name).read_text())
    addresses = {
        "file_" + known.replace(".", "_"): f"assets/{known}?v={file(known).digest}"
        for known in FILES
        if "$file_" + known.replace(".", "_") in template.template
    }
    return File(
        "html", template.substitute({key: escape(value) for key, value in (values | addresses).items()}).encode()
    )


@dataclass(frozen=True, slots=True)
class Pages:
    """What is made once the settings are known."""

    console: File
    docs: File
    openapi: File
