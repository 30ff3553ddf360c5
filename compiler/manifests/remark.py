"""Problems and warnings about manifests, before their lines and columns are looked up."""

from __future__ import annotations

from dataclasses import dataclass, field

from compiler.manifests.convert import shorten
from compiler.manifests.schema import Manifest, Node
from compiler.yaml.plain import Path, Position


@dataclass(frozen=True, slots=True)
class Batch:
    """The objects of one document: `bases` has the path to each (`()`, or `("items", 3)`)."""

    source: int
    document: int
    objects: list[Manifest]
    bases: list[Path]


@dataclass(frozen=True, slots=True)
class Place:
    """A path in a document of a source (both by index)."""

    source: int
    document: int
    path: Path


@dataclass(frozen=True, slots=True)
class Remark:
    """A problem, or with `warning` a warning, about a place.

    `first` is the earlier place that it clashes with; `position` is known before there is a
    document to look it up in, as of a syntax error. `argument` is that of `Problem`.
    """

    place: Place
    message: str
    hint: str = ""
    subject: str = ""
    base: Path = ()
    warning: bool = False
    at_key: bool = False
    first: Place | None = None
    position: Position | None = None
    argument: str = ""


@dataclass(frozen=True, slots=True)
class EndpointsObject:
    """A `v1` Endpoints object, which kube-proxy doesn't read: its place and name."""

    place: Place
    namespace: str
    name: str


@dataclass(slots=True)
class Remarks:
    """Gathers remarks; `start` sets the object that the next ones are about.

    `is_empty` stays true where no text had any document. `endpoints` are the Endpoints objects
    that were skipped: only when all is read is it known whether EndpointSlices stand for them.
    """

    found: list[Remark] = field(default_factory=list)
    is_empty: bool = True
    endpoints: list[EndpointsObject] = field(default_factory=list)
    _batch: Batch | None = None
    _index: int = 0
    _known: set[Place] = field(default_factory=set)

    def start(self, batch: Batch, index: int) -> None:
        """Set the object that the next remarks are about."""
        self._batch, self._index = batch, index

    def add(
        self,
        path: Path,
        message: str,
        hint: str = "",
        *,
        warning: bool = False,
        at_key: bool = False,
        first: tuple[Batch, int, Path] | None = None,
        argument: str = "",
    ) -> None:
        """Report something about the object, unless that very field was reported before."""
        assert self._batch is not None  # noqa: S101  # `start` comes first
        place, base = _place(self._batch, self._index, path), self._batch.bases[self._index]
        prefixes = range(len(base) + 1, len(place.path) + 1)
        if any(
            Place(place.source, place.document, place.path[:end]) in self._known for end in prefixes
        ):
            return
        subject = subject_of(self._batch.objects[self._index])
        earlier = _place(*first) if first else None
        self.found.append(
            Remark(
                place,
                message,
                hint,
                subject=subject,
                base=base,
                warning=warning,
                at_key=at_key,
                first=earlier,
                argument=argument,
            )
        )

    def add_at(self, remark: Remark) -> None:
        """Report something that is not about one of the typed objects."""
        self.found.append(remark)

    def settle(self) -> None:
        """Take what was reported so far as known: more on the same fields would repeat it."""
        self._known.update(remark.place for remark in self.found if not remark.warning)


def _place(batch: Batch, index: int, path: Path) -> Place:
    return Place(batch.source, batch.document, (*batch.bases[index], *path))


def subject_of(manifest: Manifest) -> str:
    """Name an object as messages do: `Service default/web`, `Node worker-1`."""
    kind = type(manifest).__name__
    metadata = manifest.metadata
    if metadata is None or not metadata.name:
        return kind
    name = metadata.name
    if not isinstance(manifest, Node):
        name = f"{metadata.namespace or 'default'}/{name}"
    return f"{kind} {name if name.isprintable() and len(name) < 320 else shorten(name)}"
