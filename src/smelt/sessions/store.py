# SPDX-License-Identifier: Apache-2.0
"""The store of one session: looks code up in images and in the user's directory, and keeps in the directory what was compiled."""

from __future__ import annotations

import threading
import types
import warnings
import weakref
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple, Protocol

from smelt.caching import (
    CacheView,
    CodeInstance,
    LookupTable,
    MethodInstance,
    Results,
    SourceError,
    StoreError,
    StoreWarning,
    constant_key,
    session_local,
)
from smelt.caching.counters import Counter
from smelt.caching.digests import digest
from smelt.caching.encoding import encode
from smelt.compiler.config import CompilerConfig, Target
from smelt.compiler.results import ArtifactResults
from smelt.records import Record, replace
from smelt.sessions.container import OtherVersionError
from smelt.sessions.directory import Directory
from smelt.sessions.edges import Recorder, Replay
from smelt.sessions.entries import (
    VOCABULARY,
    Entry,
    decode_entry,
    encode_entry,
    group_of,
    key_of,
    method_name,
    name_prefix,
    restored,
    state_of,
    types_of,
)
from smelt.sessions.explanations import why_failed, why_none_of
from smelt.sessions.fingerprints import Fingerprints
from smelt.sessions.images import Images
from smelt.sessions.locks import locked
from smelt.sessions.objects import Objects, UnnamedError, is_of_smelt

_FOLDER = "entries"
_FOLDERS = 256
_MOST_MISSES = 1000


class StoreMiss(Record):
    """Why nothing was found for a method instance."""

    instance: str
    reason: str
    was_kept: bool


class Source(Protocol):
    """Where entries are: the user's directory, an image."""

    def names(self, key: bytes) -> Sequence[str]:
        """The names of the entries of a key, the most likely first."""
        ...

    def entry(self, key: bytes, name: str) -> Entry | None:
        """One of them; None if it is gone or damaged."""
        ...


class Session:
    """The store of this process: a `ResultStore`, and what jobs need of one that processes share.

    Attributes
    ----------
    misses
        Why the latest lookups found nothing, the latest last.
    store_hits, image_hits
        How many method instances were found, by where.
    """

    def __init__(
        self,
        overlays: LookupTable,
        results_classes: Mapping[str, type[Results]],
        *,
        directory: Directory | None,
        most_bytes: int = 10**9,
    ) -> None:
        self.directory = directory
        self.images = Images(lambda what: warnings.warn(what, StoreWarning, stacklevel=2))
        self.fingerprints = Fingerprints(directory, self.images.fingerprint)
        self.misses: deque[StoreMiss] = deque(maxlen=_MOST_MISSES)
        self.store_hits, self.image_hits = Counter(), Counter()
        self._overlays = overlays
        self._results_classes = results_classes
        self._most_bytes = most_bytes
        self._saved: weakref.WeakSet[Results] = weakref.WeakSet()
        # What was found or kept here: the cache tells which changes of this process reached it.
        self._known: weakref.WeakValueDictionary[str, types.FunctionType] = weakref.WeakValueDictionary()
        self._claims = threading.local()

    def __repr__(self) -> str:
        return self.directory.path if self.directory is not None else "in images only"

    def why(self, instance: MethodInstance) -> list[str]:
        """Why what was kept of `instance` was of no use, the latest time first; empty if nothing was kept or it served."""
        text = str(instance)
        return [
            f"{text}: {miss.reason}" for miss in reversed(tuple(self.misses)) if miss.instance == text and miss.was_kept
        ]

    def has(self, view: CacheView[Any], instance: MethodInstance, config: CompilerConfig) -> bool:
        """Whether there is an artifact of `instance` for exactly this configuration."""
        return any(entry.config == config for entries, _, _ in self._matches(view, instance) for entry in entries)

    # As a ResultStore

    def load(self, view: CacheView[Any], instance: MethodInstance) -> CodeInstance | None:
        """The code of `instance` that an earlier process kept, if it is right for what this process has."""
        if not _can_be_kept(instance):
            return None
        found = next(self._matches(view, instance), None)
        if found is None and self._take_claim(instance):
            # Whoever held the lock may have made it.
            found = next(self._matches(view, instance), None)
        if found is None:
            return None
        entries, replay, is_image = found
        self._known[str(instance)] = instance.source
        code = view.code_instance(instance, replay.edges)
        code.attach(restored(view.results_class, entries[0].inferred, replay.objects))
        self._attach(code, entries, replay.objects)
        origin = code.results(_Origin)
        origin.entry, origin.objects = entries[0], replay.objects
        (self.image_hits if is_image else self.store_hits).count()
        return code

    def save(self, view: CacheView[Any], code: CodeInstance) -> None:
        """Keep the artifacts of `code` that were compiled since it was last kept."""
        if self.directory is None or not _can_be_kept(code.instance):
            return
        attached = code.results(ArtifactResults)
        # Made, but not loaded from here.
        new = [(key, results) for key, results in attached.by_config.items() if results not in self._saved]
        new = [(key, results) for key, results in new if type(results).__name__ in self._results_classes]
        if not new:
            return
        try:
            key = key_of(code.instance, code.owner)
            entries = [self._entry(view, code, attached.configs[known], results) for (_, known), results in new]
        except (UnnamedError, SourceError) as error:
            self._missed(code.instance, f"it can't be kept: {error}")
            return
        if not code.is_current or self.fingerprints.compiler_has_changed():
            # What was described may not be what it was compiled for, or with.
            return
        self._saved.update(results for _, results in new)
        self._known[str(code.instance)] = code.instance.source
        folder = _folder_of(key)
        for entry in entries:
            self.directory.write(f"{folder}/{entry.name()}", encode_entry(key, entry))
        self.directory.prune(folder.rpartition("/")[0], self._most_bytes // _FOLDERS)

    # Among processes

    @contextmanager
    def claim(self, instance: MethodInstance) -> Iterator[None]:
        """While this lasts no other process makes what this one misses for `instance`."""
        with ExitStack() as held:
            before = getattr(self._claims, "current", None)
            self._claims.current = _Claim(instance, lambda: self._lock(instance, held))
            try:
                yield
            finally:
                self._claims.current = before

    def refresh(
        self, view: CacheView[Any], code: CodeInstance, config: CompilerConfig, rank: Callable[[Target], int | None]
    ) -> None:
        """Take over the artifact of `code` for `config`, if there is one.

        Of those in images that are for another processor, which `rank` gives a number, the one with the highest serves as well.
        """
        if not _can_be_kept(code.instance):
            return
        if not self._take_over(view, code, config, rank) and self._take_claim(code.instance):
            self._take_over(view, code, config, rank)

    def _take_over(
        self, view: CacheView[Any], code: CodeInstance, config: CompilerConfig, rank: Callable[[Target], int | None]
    ) -> bool:
        best: tuple[int, Entry, Objects] | None = None
        for entries, replay, is_image in self._matches(view, code.instance):
            self._attach(code, entries, replay.objects)
            if any(entry.config == config for entry in entries):
                return True
            for entry in entries if is_image else ():
                number = rank(entry.config.target) if replace(entry.config, target=config.target) == config else None
                if number is not None and (best is None or number > best[0]):
                    best = number, replace(entry, config=config), replay.objects
        if best is not None:
            self._attach(code, [best[1]], best[2])
        return best is not None

    def _take_claim(self, instance: MethodInstance) -> bool:
        claim = getattr(self._claims, "current", None)
        return claim is not None and claim.instance is instance and claim.take()

    def _lock(self, instance: MethodInstance, held: ExitStack) -> bool:
        if self.directory is None:
            return False
        number = digest(str(instance).encode())[:1].hex()
        return held.enter_context(locked(f"{self.directory.path}/locks/{number}"))

    # Looking up

    def _matches(self, view: CacheView[Any], instance: MethodInstance) -> Iterator[_Match]:
        """What is right for what this process has, the most likely first. Takes note of why if there is nothing."""
        # Opened first: they may know the fingerprint, too.
        sources = list(self._sources(instance))
        if not sources:
            self._missed(instance, "there is neither a store nor an image")
            return
        try:
            key = key_of(instance, view.owner)
            prefix = name_prefix(self.fingerprints.of_compiler(), self.fingerprints.of(instance.source))
        except (UnnamedError, SourceError) as error:
            self._missed(instance, str(error))
            return
        reason, was_kept, is_found = "nothing was ever kept for it", False, False
        for source, is_image in sources:
            names = source.names(key)
            if names:
                reason, was_kept = why_none_of(names, prefix), True
            candidates = [name for name in names if name.startswith(prefix)]
            for group in dict.fromkeys(map(group_of, candidates)):
                found = [source.entry(key, name) for name in candidates if group_of(name) == group]
                entries = [entry for entry in found if entry is not None and self._is_own(entry, instance)]
                if not entries:
                    continue
                replay = Replay(instance, self._overlays, view.world, self.fingerprints.of)
                failed = replay.check(entries[0].edges)
                if failed is not None:
                    reason = why_failed(entries[0], failed)
                    continue
                is_found = True
                yield _Match(entries, replay, is_image)
        if not is_found:
            self._missed(instance, reason, was_kept=was_kept)

    def _sources(self, instance: MethodInstance) -> Iterator[tuple[Source, bool]]:
        module = instance.source.__globals__.get("__name__")
        for image in self.images.of(module) if isinstance(module, str) else ():
            yield image, True
        if self.directory is not None:
            yield _InDirectory(self.directory), False

    def _is_own(self, entry: Entry, instance: MethodInstance) -> bool:
        # Names are short, and so only a hint.
        return entry.compiler == self.fingerprints.of_compiler() and entry.own == self.fingerprints.of(instance.source)

    def _missed(self, instance: MethodInstance, reason: str, *, was_kept: bool = False) -> None:
        text = str(instance)
        miss = StoreMiss(text, reason, was_kept and self._known.get(text) is not instance.source)
        # It is looked for again once nobody else can be making it.
        # Other threads note theirs meanwhile.
        if miss not in tuple(self.misses):
            self.misses.append(miss)

    # Between entries and results

    def _entry(self, view: CacheView[Any], code: CodeInstance, config: CompilerConfig, results: Results) -> Entry:
        origin = code.results(_Origin)
        if origin.entry is not None and origin.objects is not None:
            return replace(origin.entry, config=config, artifact=VOCABULARY.encode(state_of(results, origin.objects)))
        recorder = Recorder(view, code, self._overlays, self.fingerprints.of)
        module, name = method_name(code.instance)
        return Entry(
            text=str(code.instance),
            module=module,
            function=name,
            types=types_of(code.instance),
            owner=encode(code.owner, "the owner"),
            compiler=self.fingerprints.of_compiler(),
            own=self.fingerprints.of(code.instance.source),
            readers=tuple(recorder.readers),
            edges=tuple(recorder.edges),
            inferred=state_of(view.results(code), recorder.objects),
            config=config,
            artifact=VOCABULARY.encode(state_of(results, recorder.objects)),
        )

    def _attach(self, code: CodeInstance, entries: list[Entry], objects: Objects) -> None:
        attached = code.results(ArtifactResults)
        for entry in entries:
            state = VOCABULARY.decode(entry.artifact)
            cls = self._results_classes.get(state.results_class)
            if cls is None:
                continue
            found = restored(cls, state, objects)
            key = (cls, constant_key(entry.config))
            attached.configs[constant_key(entry.config)] = entry.config
            existing = attached.by_config.setdefault(key, found)
            if existing is not found and existing not in self._saved:
                for name in cls.declared_fields:
                    setattr(existing, name, getattr(found, name))
            self._saved.add(existing)


class _Origin(Results):
    """Where code was found: its entry, which says what it depends on, and the objects that this names. Its calls are not there."""

    entry: Entry | None = session_local()
    objects: Objects | None = session_local()


class _Match(NamedTuple):
    """Entries with the same edges, which hold, the replay that found this out, and whether they are of an image."""

    entries: list[Entry]
    replay: Replay
    is_image: bool


class _Claim:
    """The right to make one method instance's code, which is taken when it turns out to be missing."""

    def __init__(self, instance: MethodInstance, take: Callable[[], bool]) -> None:
        self.instance = instance
        self._take = take
        self._is_taken: bool | None = None

    def take(self) -> bool:
        """Wait for the lock; whether it was got now."""
        if self._is_taken is not None:
            return False
        self._is_taken = self._take()
        return self._is_taken


class _InDirectory:
    def __init__(self, directory: Directory) -> None:
        self._directory = directory

    def names(self, key: bytes) -> list[str]:
        return [name.rpartition("/")[2] for name in self._directory.names(_folder_of(key))]

    def entry(self, key: bytes, name: str) -> Entry | None:
        file = f"{_folder_of(key)}/{name}"
        contents = self._directory.read(file)
        if contents is None:
            return None
        try:
            entry = decode_entry(key, contents)
        except OtherVersionError:
            return None
        except StoreError as error:
            self._directory.warn(f"holds a damaged file, {file}: {error}")
            return None
        self._directory.mark_as_used(file)
        return entry


def _folder_of(key: bytes) -> str:
    return f"{_FOLDER}/{key[:1].hex()}/{key.hex()}"


def _can_be_kept(instance: MethodInstance) -> bool:
    return isinstance(instance.source, types.FunctionType) and not is_of_smelt(instance.source)
