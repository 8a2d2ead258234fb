"""The PMML of an Oryx 2 ALS model, read with suspicion: anybody who can write to the update topic may have made it.

It is read by the standard library's expat, which is what hardened readers (defusedxml) wrap: here its events come
straight to us, so that every bound is checked while the document is read, and no tree is ever built. A DOCTYPE is
refused at its first word, and with it entities, whatever they would have expanded to or fetched: Oryx writes none.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from xml.parsers import expat

from oryx_py.errors import BadMessage
from oryx_py.numerics.objective import Objective
from oryx_py.oryx2.id_list import read_ids

__all__ = ["MAX_DOCUMENT_BYTES", "MAX_IDS", "AlsPmml", "read_pmml"]

MAX_DOCUMENT_BYTES = 1 << 30
"""A million IDs of 30 bytes on both sides are 60 MB; inline ones never pass the topic's record limit."""
MAX_IDS = 20_000_000
"""Of one side."""
MAX_FEATURES = 4096
_MAX_DEPTH = 64
_MAX_ATTRIBUTE = 4096
_BLOCK = 1 << 16
_NAMESPACE = " "
_LISTS = ("XIDs", "YIDs")
_VALUES = ("X", "Y", "features", "lambda", "implicit", "alpha", "logStrength", "epsilon")


@dataclass(frozen=True, slots=True)
class AlsPmml:
    """What Oryx 2 says of a model; the vectors are elsewhere.

    ``user_folder`` and ``item_folder``: of the files with X and Y, relative to the document's own folder.
    ``user_ids`` and ``item_ids``: who has a vector in this model, in no order.
    """

    features: int
    objective: Objective
    user_folder: str
    item_folder: str
    user_ids: Sequence[str]
    item_ids: Sequence[str]


def read_pmml(document: bytes, *, max_bytes: int = MAX_DOCUMENT_BYTES, max_ids: int = MAX_IDS) -> AlsPmml:
    """Read a document; of extensions of one name the first counts, as in Oryx.

    Raises:
        BadMessage: it is no PMML of an ALS model, or beyond a bound; one line says what is wrong with it.
    """
    if len(document) > max_bytes:
        raise BadMessage(f"the PMML has {len(document)} bytes, at most {max_bytes} are allowed")
    found = _Extensions()
    found.read(document)
    values = found.values
    features = _features(values)
    return AlsPmml(
        features=features,
        objective=_objective(values),
        user_folder=values.get("X", "X/"),
        item_folder=values.get("Y", "Y/"),
        user_ids=read_ids(found.text("XIDs"), "XIDs", max_ids),
        item_ids=read_ids(found.text("YIDs"), "YIDs", max_ids),
    )


class _Extensions:
    """The extensions directly below the root: values by name, and the texts of the two lists."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}
        self._texts: dict[str, list[str]] = {}
        self._reading: list[str] | None = None
        self._depth = 0

    def text(self, name: str) -> str:
        return "".join(self._texts.get(name, ()))

    def read(self, document: bytes) -> None:
        parser = expat.ParserCreate(namespace_separator=_NAMESPACE)
        parser.buffer_text = True
        parser.buffer_size = _BLOCK
        parser.StartDoctypeDeclHandler = self._on_doctype
        parser.EntityDeclHandler = self._on_entity
        parser.StartElementHandler = self._on_start
        parser.EndElementHandler = self._on_end
        parser.CharacterDataHandler = self._on_text
        view = memoryview(document)
        try:
            for at in range(0, len(view), _BLOCK):
                parser.Parse(view[at : at + _BLOCK], False)  # noqa: FBT003 - expat's own signature
            parser.Parse(b"", True)  # noqa: FBT003
        except expat.ExpatError as error:
            raise BadMessage(f"the PMML cannot be read: {error}") from None
        except (LookupError, ValueError) as error:  # a declared encoding that Python does not have, or not for this
            raise BadMessage(f"the PMML's encoding cannot be read: {str(error)[:200]}") from None

    def _on_doctype(self, *_: object) -> None:
        raise BadMessage("the PMML has a DOCTYPE, which may hold entities: remove it")

    def _on_entity(self, *_: object) -> None:
        raise BadMessage("the PMML declares an entity: remove it")

    def _on_start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        self._reading = None
        local = name.rpartition(_NAMESPACE)[2]
        if self._depth > _MAX_DEPTH:
            raise BadMessage(f"the PMML has elements more than {_MAX_DEPTH} deep")
        if self._depth == 1 and local != "PMML":
            raise BadMessage(f"the document's root is {local[:40]!r}, not PMML")
        if self._depth == 2 and local == "Extension":
            self._on_extension(attributes.get("name", ""), attributes.get("value"))

    def _on_extension(self, name: str, value: str | None) -> None:
        if name in _LISTS and name not in self._texts:
            self._reading = self._texts[name] = []
        elif name in _VALUES and value is not None:
            if len(value) > _MAX_ATTRIBUTE:
                raise BadMessage(f"Extension {name} has {len(value)} characters, at most {_MAX_ATTRIBUTE} are allowed")
            self.values.setdefault(name, value)

    def _on_end(self, _: str) -> None:
        self._depth -= 1
        self._reading = None

    def _on_text(self, text: str) -> None:
        if self._reading is not None:
            self._reading.append(text)


def _features(values: dict[str, str]) -> int:
    text = values.get("features")
    if text is None:
        raise BadMessage("this PMML is of no ALS model: it has no Extension features")
    text = text.strip()
    if not (text.isascii() and text.isdigit() and len(text) <= 9 and 1 <= int(text) <= MAX_FEATURES):
        raise BadMessage(f"Extension features must be from 1 to {MAX_FEATURES}, not {text[:40]!r}")
    return int(text)


def _objective(values: dict[str, str]) -> Objective:
    lambda_ = _number(values, "lambda", 0.0)
    if not _flag(values, "implicit", default=None):
        return Objective.mllib_explicit(lambda_)
    log_strength = _flag(values, "logStrength", default="false")
    epsilon = _number(values, "epsilon", 1e-5) if log_strength else 1e-5
    if not epsilon:
        raise BadMessage("Extension epsilon must be above 0")
    return Objective.mllib_implicit(lambda_, _number(values, "alpha", 1.0), log_strength, epsilon)


def _flag(values: dict[str, str], name: str, default: str | None) -> bool:
    text = values.get(name, default)
    if text is None:
        raise BadMessage(f"this PMML is of no ALS model: it has no Extension {name}")
    if text.lower() not in {"true", "false"}:
        raise BadMessage(f"Extension {name} must be true or false, not {text[:40]!r}")
    return text.lower() == "true"


def _number(values: dict[str, str], name: str, default: float) -> float:
    text = values.get(name)
    if text is None:
        return default
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number < math.inf:
        raise BadMessage(f"Extension {name} must be a finite number of 0 or above, not {text[:40]!r}")
    return number
