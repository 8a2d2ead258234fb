"""An endpoint: a handler whose signature is its declaration.

::

    @operation("GET", "/estimate/{user}/{items}", tag="Scores", refusals={404: "the user is unknown"})
    async def estimate(request: web.Request, user: User, items: Items, after: After) -> Numbers:
        ...

The annotations say what is parsed from the path and the query, the returned type what is answered, the docstring what
people read about it. Arguments have their defaults in the signature.
"""

import inspect
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from types import MappingProxyType
from typing import Any, Final, TypeAlias

from serving_layer.api.handler_arguments import Argument, arguments_of
from serving_layer.api.parameter import Parameter, Place
from serving_layer.api.rendering import Answer, Described
from serving_layer.rescoring.plugins import Kind

__all__ = ["Body", "Handler", "Operation", "operation"]

Handler: TypeAlias = Callable[..., Awaitable[Any]]
AtOnce: TypeAlias = Callable[..., Answer | None]

_NOTHING: Final[Mapping[Any, Any]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Body:
    """A request's body, for the documentation: by media type a JSON Schema and named examples."""

    about: str
    content: Mapping[str, Mapping[str, Any]]
    required: bool = True


@dataclass(frozen=True, slots=True)
class Operation:
    """A method on a path, and all that there is to know about it.

    Attributes:
        method: HTTP's; GET also answers HEAD.
        path: a template below the context path, such as ``/recommend/{user}``.
        tag: under which the documentation has it.
        handle: the handler; called with the request and the arguments by name.
        arguments: in the order of the signature; those of the path in the order of the path.
        answer: what it answers in JSON and CSV; None for an answer of its own, or no content.
        produces: by media type the JSON Schema of an answer of its own.
        body: what it takes.
        refusals: by status, why.
        at_once: makes the answer to a plain request of the model, what stands in the path, and by name those arguments
            of the query that it takes, where they are there; None where that is not done in a moment.
        rescored: the kind of query that plug-ins may rescore; None where they have no say.
        writes: whether it stores anything: refused where the service is read-only.
        operating: whether it is for those who run the service: answered however busy it is, and without a model.
        paced: whether it bounds its own time, by progress.
        revalidated: whether a client that has the answer may ask if it is still good, by ``If-None-Match``.
        summary: the docstring's first line.
        description: the rest of it, Markdown.
    """

    method: str
    path: str
    tag: str
    handle: Handler
    arguments: tuple[Argument, ...]
    answer: Described | None
    produces: Mapping[str, Any] = field(default_factory=dict)
    body: Body | None = None
    refusals: Mapping[int, str] = field(default_factory=dict)
    at_once: AtOnce | None = None
    rescored: Kind | None = None
    writes: bool = False
    operating: bool = False
    paced: bool = False
    revalidated: bool = False
    summary: str = ""
    description: str = ""

    @property
    def name(self) -> str:
        """Its name in the documentation: the handler's."""
        return str(self.handle.__name__)

    @property
    def status(self) -> HTTPStatus:
        """Of a success."""
        return HTTPStatus.OK if self.answer is not None or self.produces else HTTPStatus.NO_CONTENT

    @property
    def in_path(self) -> list[Argument]:
        """The arguments that stand in the path, in its order."""
        return [found for found in self.arguments if found.place is not Place.QUERY]

    @property
    def fixed_segments(self) -> int:
        """How many segments the path has before these."""
        return sum(not part.startswith("{") for part in self.path.split("/")[1:])

    def parameters(self) -> Iterator[Parameter]:
        """Return everything that it takes in the path and the query."""
        for argument in self.arguments:
            yield from argument.parameters


def operation(
    method: str,
    path: str,
    *,
    tag: str,
    produces: Mapping[str, Any] = _NOTHING,
    body: Body | None = None,
    refusals: Mapping[int, str] = _NOTHING,
    at_once: AtOnce | None = None,
    rescored: Kind | None = None,
    writes: bool = False,
    operating: bool = False,
    paced: bool = False,
    revalidated: bool = False,
) -> Callable[[Handler], Operation]:
    """Declare a handler as an endpoint; the arguments are those of `Operation`."""

    def declare(handle: Handler) -> Operation:
        signature = inspect.signature(handle, eval_str=True)
        summary, _, description = inspect.cleandoc(handle.__doc__ or "").partition("\n\n")
        declared = Operation(
            method=method,
            path=path,
            tag=tag,
            handle=handle,
            arguments=tuple(arguments_of(signature)),
            answer=_described(signature.return_annotation),
            produces=produces,
            body=body,
            refusals=refusals,
            at_once=at_once,
            rescored=rescored,
            writes=writes,
            operating=operating,
            paced=paced,
            revalidated=revalidated,
            summary=" ".join(summary.split()),
            description=description,
        )
        _check(declared)
        return declared

    return declare


def _described(answer: Any) -> Described | None:
    found = getattr(answer, "described", None)
    return found if isinstance(found, Described) else None


def _check(declared: Operation) -> None:
    in_path = [found.name for found in declared.parameters() if found.place is not Place.QUERY]
    in_template = [part.strip("{}") for part in declared.path.split("/") if part.startswith("{")]
    if in_path != in_template:
        raise TypeError(f"{declared.path}: the handler takes {in_path} of the path")
