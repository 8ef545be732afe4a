"""Mapping: where a line keeps its key, type, id, time, data and sequence number, and what it is in."""

from __future__ import annotations

from dataclasses import dataclass, fields

from durproj.codec import to_json
from durproj.errors import UsageError
from durproj.events.formats.paths import plain

FIVE = ("key", "type", "id", "time", "data")
PLAIN, CLOUDEVENTS, DEBEZIUM, FLATTENED_XES = "plain", "cloudevents", "debezium", "pm4py"
CONTAINERS = ("array", "csv", "xes")
KAFKA = "kcat"
CONVENTION_NAMES = (
    *(
        CLOUDEVENTS,
        DEBEZIUM,
        "stripe",
        "eventbridge",
        "kurrent",
        "marten",
        "message-db",
        "emmett",
    ),
    *("segment", "mixpanel", "amplitude", "github", FLATTENED_XES, "resonate", PLAIN),
)


@dataclass(frozen=True, slots=True)
class Layers:
    """A format's name, taken apart: from the outside in.

    container: what is turned into JSON lines first, or None; kafka: whether the lines are Kafka records
    as `kcat -J` prints them; convention: what the events follow, None when that is to be found out.
    """

    container: str | None
    kafka: bool
    convention: str | None

    @classmethod
    def parse(cls, name: str | None) -> Layers:
        """What `name` asks for; `auto` and None ask for nothing. Raises UsageError when it is unknown."""
        parts = (name or "auto").split("+")
        container = parts.pop(0) if parts[0] in CONTAINERS else None
        kafka = parts[:1] == [KAFKA]
        parts = parts[kafka:]
        if container == "xes" and not kafka and not parts:
            return cls("xes", kafka=False, convention=FLATTENED_XES)
        if (
            len(parts) > 1
            or container == "xes"
            or (parts and parts[0] not in (*CONVENTION_NAMES, "auto"))
        ):
            known = " ".join(("auto", *CONTAINERS, KAFKA, *CONVENTION_NAMES))
            raise UsageError(
                f"--format {to_json(name)[1:-1]}: no such format",
                f"the formats: {known}\none in another is written so: kcat+debezium, array+github",
            )
        return cls(container, kafka, None if parts in ([], ["auto"]) else parts[0])

    @property
    def name(self) -> str | None:
        """The name as it is stored and shown; None for plain JSON lines."""
        inner = None if self.convention == PLAIN or self.container == "xes" else self.convention
        parts = (self.container, KAFKA if self.kafka else None, inner)
        return "+".join(part for part in parts if part) or None

    @property
    def as_they_are(self) -> bool:
        """Whether the lines, once they are lines, are what paths are read in: plain, and no Kafka records."""
        return self.convention == PLAIN and not self.kafka

    @property
    def source(self) -> str | None:
        """The path of what makes an id unique together with it (CloudEvents, spec.md: id); or None."""
        if self.convention != CLOUDEVENTS:
            return None
        return "payload.source" if self.kafka else "source"

    def resolved(self) -> Layers:
        """The same, plain where nothing was said about the convention."""
        return Layers(self.container, self.kafka, self.convention or PLAIN)

    def fits(self, other: Layers) -> bool:
        """Whether `other`, which is resolved, is what this asks for."""
        if self.convention is None:
            return self.container == other.container and (other.kafka or not self.kafka)
        return self == other


@dataclass(frozen=True, slots=True)
class Mapping:
    """Paths (see `durproj.events.formats.paths`), each None when absent; without `data`, the whole line is the
    data. `seq`: of the sequence number. `format`: the name of what the lines are, such as
    `kcat+debezium` (see `durproj.events.formats.detection`); None for plain JSON lines.

    As overrides for `detect`, None means "not given" and "" means "none, on purpose"; the format `auto`
    means "not given", too.
    """

    key: str | None = None
    type: str | None = None
    id: str | None = None
    time: str | None = None
    data: str | None = None
    seq: str | None = None
    format: str | None = None

    def to_dict(self) -> dict[str, str | None]:
        """The fields by name, as JSON can carry them; without `seq` and `format` where they are absent,
        as stores have it that were made before there were any."""
        every = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in every.items() if name in FIVE or value is not None}

    @classmethod
    def from_dict(cls, values: dict[str, str | None]) -> Mapping:
        """The Mapping that `to_dict` described; names missing from `values` are absent."""
        return cls(**{field.name: values.get(field.name) for field in fields(cls)})

    def paths(self) -> dict[str, str]:
        """The paths that there are, by field."""
        return {
            name: path
            for name, path in self.to_dict().items()
            if name != "format" and path is not None
        }

    def describe(self) -> str:
        """One line for people: `id=eventId type=type key=(none) time=timestamp data=payload`, after
        `format NAME: ` unless the lines are plain."""
        missing = {"data": "(whole line)"}
        shown = " ".join(
            f"{name}={plain(path) if path is not None else missing.get(name, '(none)')}"
            for name in ("id", "type", "key", "time", "data")
            for path in (getattr(self, name),)
        )
        if self.seq is not None:
            shown += f" seq={plain(self.seq)}"
        return f"format {self.format}: {shown}" if self.format else shown
