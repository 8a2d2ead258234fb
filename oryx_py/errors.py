"""The error tree, branched by what to do next.

::

    OryxError
    ├── UserError              change something and call again; the message says what (one line, exit code 2)
    │   ├── ConfigError        a setting is wrong
    │   ├── MissingDependency  a program or an extra is not installed
    │   ├── NoRoom             memory or disk has too little room now; what works at an interval tries again at the next
    │   └── NotReady           nothing to answer from yet
    │       └── NearSingular   too few vectors for Oryx's fold-in rule
    ├── Transient              the same call may succeed later
    │   ├── BrokerUnavailable  no acknowledgement from Kafka in time
    │   ├── StoreUnavailable   the disk or the store did not take or give a file
    │   ├── QueueFull          a bounded queue has no room
    │   ├── JobFailed          Spark did not finish a job
    │   └── CommitConflict     somebody else created this commit first: read again, retry
    ├── BadRecord              skip this record and say why
    │   ├── BadInteraction     a value of the input topic, or a line of a client
    │   ├── BadMessage         a message of the update topic
    │   └── RecordTooLarge     more bytes than its topic takes
    └── Stop                   a layer must not go on; the operator has to act
        ├── CorruptGeneration  files are missing, damaged or do not fit together
        ├── CorruptLog         a commit of the history or the registry is missing, damaged or contradicts the others
        ├── UnsupportedFormat  written by a newer version
        ├── LogGap             the log no longer has the records that are needed
        ├── TopicsChanged      a topic was re-created or its partitions were changed
        └── Replaced           another process does this one's work by now

Libraries' own exceptions are translated where they arise, with the cause chained.
"""

__all__ = [
    "BadInteraction",
    "BadMessage",
    "BadRecord",
    "BrokerUnavailable",
    "CommitConflict",
    "ConfigError",
    "CorruptGeneration",
    "CorruptLog",
    "JobFailed",
    "LogGap",
    "MissingDependency",
    "NearSingular",
    "NoRoom",
    "NotReady",
    "OryxError",
    "QueueFull",
    "RecordTooLarge",
    "Replaced",
    "Stop",
    "StoreUnavailable",
    "TopicsChanged",
    "Transient",
    "UnsupportedFormat",
    "UserError",
]


class OryxError(Exception):
    """Anything that this project raises on purpose."""


class UserError(OryxError):
    """The caller has to change something; the message is one line that says what."""


class ConfigError(UserError):
    """A setting is unknown, malformed, or does not go with another."""


class MissingDependency(UserError):
    """A program or an optional package is not installed."""


class NoRoom(UserError):
    """A host has too little memory or disk at this moment; when others have given theirs back it may have enough."""


class NotReady(UserError):
    """There is nothing yet to answer from."""


class NearSingular(NotReady):
    """The vectors of a side span too few features for Oryx's fold-in rule, which solves by their Gram matrix alone."""


class Transient(OryxError):
    """The same call may succeed later."""


class BrokerUnavailable(Transient):
    """Kafka did not acknowledge or answer in time."""


class StoreUnavailable(Transient):
    """The disk or the store did not take or give a file."""


class QueueFull(Transient):
    """A bounded queue has no room now."""


class JobFailed(Transient):
    """Spark did not finish a job: an executor or the JVM died, a disk is full, memory ran out."""


class CommitConflict(Transient):
    """A commit of this number exists: read the log again and retry."""


class BadRecord(OryxError):
    """This record cannot be used; the next one may."""

    @property
    def reason(self) -> str:
        """The message alone, as it goes into a dead letter's ``reason``."""
        return str(self)


class BadInteraction(BadRecord):
    """A value of the input topic, or a client's line, that does not follow the wire protocol."""


class BadMessage(BadRecord):
    """A message of the update topic that does not follow the wire protocol."""


class RecordTooLarge(BadRecord):
    """A record has more bytes than its topic takes."""


class Stop(OryxError):
    """A layer must not go on until somebody acts; the message says how."""


class CorruptGeneration(Stop):
    """A generation's files are missing, damaged, or do not fit together."""


class CorruptLog(Stop):
    """A commit of the history or the registry is missing, damaged, or contradicts those before it."""


class UnsupportedFormat(Stop):
    """An artefact was written by a newer version of the project."""


class LogGap(Stop):
    """The log no longer has, or does not yet have, the records from the offset asked for."""


class TopicsChanged(Stop):
    """A topic was re-created, or its number of partitions is not the one the state was built with."""


class Replaced(Stop):
    """Another process has taken over what this one did, and nobody listens to this one any more."""
