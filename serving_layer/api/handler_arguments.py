"""The arguments of a handler: which it takes by its signature, and their values of a request."""

import inspect
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from serving_layer.api.parameter import Group, Parameter, Place

__all__ = ["Argument", "arguments_of", "read_path", "read_query"]


@dataclass(frozen=True, slots=True)
class Argument:
    """An argument of a handler and what it is made of."""

    name: str
    source: Parameter | Group
    default: Any
    """Of one in the query that is left out."""

    @property
    def place(self) -> Place:
        """Where it stands."""
        return self.parameters[0].place

    def read(self, texts: Sequence[str]) -> Any:
        """Read one that stands in the path."""
        assert isinstance(self.source, Parameter)
        return self.source.read(texts)

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """What the wire has of it."""
        return self.source.parts if isinstance(self.source, Group) else (self.source,)


def arguments_of(signature: inspect.Signature) -> Iterator[Argument]:
    """Return what a handler takes beside the request, in its order.

    Raises:
        TypeError: one is not declared, or stands in the query and has no default.
    """
    for parameter in list(signature.parameters.values())[1:]:
        sources = [found for found in get_args(parameter.annotation) if isinstance(found, Parameter | Group)]
        if len(sources) != 1:
            raise TypeError(f"{parameter.name} is not declared: annotate it with a type of serving_layer.api.arguments")
        (source,) = sources
        default = source.make(*source.defaults) if isinstance(source, Group) else parameter.default
        argument = Argument(parameter.name, source, default)
        if argument.place is Place.QUERY and default is inspect.Parameter.empty:
            raise TypeError(f"{parameter.name} has no default")
        yield argument


def read_path(arguments: Sequence[Argument], texts: list[str]) -> dict[str, Any]:
    """Return by name what stands in a path.

    Args:
        arguments: of the path, in its order.
        texts: the path's segments from the first argument on, still escaped.

    Raises:
        Problem: 400, one of them cannot be read.
    """
    values: dict[str, Any] = {}
    for at, argument in enumerate(arguments):
        values[argument.name] = argument.read(texts[at : at + 1] if argument.place is Place.SEGMENT else texts[at:])
    return values


def read_query(arguments: Iterable[Argument], texts: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """Return by name what stands in a query; what is left out there is left out here.

    Args:
        arguments: of the query.
        texts: by the name of each parameter that is there, what it has, decoded.

    Raises:
        Problem: 400, one of them cannot be read.
    """
    values: dict[str, Any] = {}
    for argument in arguments:
        source = argument.source
        if isinstance(source, Group):
            if any(part.name in texts for part in source.parts):
                parts = zip(source.parts, source.defaults, strict=True)
                values[argument.name] = source.make(
                    *(part.read(texts[part.name]) if part.name in texts else default for part, default in parts)
                )
        elif source.name in texts:
            values[argument.name] = source.read(texts[source.name])
    return values
