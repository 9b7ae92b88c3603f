"""The project's exceptions: a stable code, a sentence, and a hint on what to do.

An expected failure of one image is a value (``model.Fault``), not one of these. These end a
command; ``fetcher.cli`` turns them into a message and an exit code in one place.
"""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """Exit codes, fixed by contract."""

    COMPLETE = 0
    """Every selected asset is verified or unverified."""
    LOSSES = 1
    """Finished, nothing pending, some assets lost."""
    UNUSABLE = 2
    """The command, the configuration or the input is unusable; nothing was changed."""
    STOPPED = 3
    """Stopped before the end; the same command resumes."""
    OUR_FAULT = 4
    """Stopped by a fault of our side; nothing is lost."""


class FetcherError(Exception):
    """Base of all. ``hint`` says what the reader can do about it."""

    code = "error"
    exit = Exit.OUR_FAULT

    def __init__(self, sentence: str, *, hint: str = "") -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.sentence}\n{self.hint}" if self.hint else self.sentence

    @property
    def in_one_line(self) -> str:
        """For where it is part of a sentence, or of a table."""
        return f"{self.sentence} {self.hint}".rstrip()


class UsageError(FetcherError):
    """The command line asks for what cannot be done."""

    code = "usage"
    exit = Exit.UNUSABLE


class ConfigError(FetcherError):
    """A configuration key or value is refused; the sentence has the key's path."""

    code = "config"
    exit = Exit.UNUSABLE


class SourceError(FetcherError):
    """An image list is not one, or is damaged; the sentence has file and line."""

    code = "source"
    exit = Exit.UNUSABLE


class DamagedListError(SourceError):
    """An image list turned out to be damaged, or to be still written to, behind rows that had been
    worked with already.
    """

    exit = Exit.OUR_FAULT


class MissingExtraError(FetcherError):
    """A feature needs an optional dependency that is not installed."""

    code = "missing-extra"
    exit = Exit.UNUSABLE

    def __init__(self, feature: str, *, extra: str) -> None:
        super().__init__(
            f"{feature} needs an optional part that is not installed.",
            hint=f"Install it with: pip install 'fetcher[{extra}]'",
        )


class ManifestError(FetcherError):
    """The manifest cannot be used: missing, damaged, of a newer schema, or on a full disk."""

    code = "manifest"


class ManifestUnusableError(ManifestError):
    """The manifest is not one that this command can work with; nothing was changed."""

    code = "manifest-unusable"
    exit = Exit.UNUSABLE


class LockedError(ManifestError):
    """Another run holds the manifest; the sentence names its process."""

    code = "locked"
    exit = Exit.UNUSABLE


class StoreError(FetcherError):
    """The store cannot take bytes: disk full, read-only, I/O error, no permission.

    ``fault_code`` is the local fault that it stands for (``fetcher.policy.codes``).
    """

    code = "store"

    def __init__(self, sentence: str, *, fault_code: str, hint: str = "") -> None:
        super().__init__(sentence, hint=hint)
        self.fault_code = fault_code


class WorkersLostError(FetcherError):
    """Worker processes die faster than they work: no memory left, or something in them breaks."""

    code = "workers-lost"

    def __init__(self, sentence: str, *, fewer_by: str = "fetch.processes") -> None:
        super().__init__(
            sentence,
            hint="Mostly memory has run out; the kernel's log tells (dmesg, journalctl -k). Fewer\n"
            f"processes need less of it ({fewer_by}). The same command resumes.",
        )


class WorkerBrokeError(Exception):
    """A bug in a worker process, so no ``FetcherError``; the text is its traceback."""
