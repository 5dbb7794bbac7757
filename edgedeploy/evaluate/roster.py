"""Which workers of a cluster may be used: those that give the same bits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from edgedeploy.errors import EvaluationError
from edgedeploy.evaluate.tasks import describe_worker, name_differences

# Workers may have another processor than we have, but not among themselves.
_HARDWARE = ("machine", "cpu_features")


class Roster:
    """The workers of one kind, as they come and go.

    The largest group of workers with the same processor's features is taken, of two
    as large the one like this machine; software has to be what it is here. All others
    are refused by name.

    Args:
        client: A distributed.Client.
        runtime: A runtime's name.
        warn: Told of each worker that is refused.

    Attributes:
        expected: What a worker has to be, as `describe_worker` says.
        threads: Tasks that the accepted workers can do at the same time.

    Raises:
        EvaluationError: If no worker may be used.
    """

    def __init__(self, client: Any, runtime: str, warn: Callable[[str], None]) -> None:
        self._client, self._runtime, self._warn = client, runtime, warn
        self._here = describe_worker(runtime)
        self._accepted: dict[str, int] = {}
        self._refused: set[str] = set()
        self.threads = 0
        found = self._ask(self._alive())
        self.expected = _largest_group(self._here, found)
        self._judge(found)
        if not self._accepted:
            raise EvaluationError(
                f"the cluster has no worker that may be used; {len(found)} were "
                "refused. Install there what is here: edgedeploy with its dependencies"
            )

    @property
    def node(self) -> dict[str, str]:
        """What the workers are, as `describe_node` says."""
        return {key: v for key, v in self.expected.items() if key != "edgedeploy"}

    @property
    def restriction(self) -> list[str] | None:
        """Addresses that tasks must keep to; None while every worker may be used."""
        # Tied to names, a task would not find a worker that came later.
        return sorted(self._accepted) if self._refused else None

    def look(self) -> bool:
        """See who came and went; True if somebody did."""
        alive = self._alive()
        gone = (set(self._accepted) | self._refused) - set(alive)
        new = {at: n for at, n in alive.items() if at not in self._accepted}
        new = {at: n for at, n in new.items() if at not in self._refused}
        for address in gone:
            self._accepted.pop(address, None)
            self._refused.discard(address)
        self._judge(self._ask(new))
        return bool(gone or new)

    def _alive(self) -> dict[str, int]:
        """Give each worker's number of threads by its address."""
        workers = self._client.scheduler_info(n_workers=-1)["workers"]
        return {address: facts["nthreads"] for address, facts in workers.items()}

    def _ask(self, workers: Mapping[str, int]) -> dict[str, tuple[int, Any]]:
        """Let workers describe themselves; what one cannot say is its exception."""
        if not workers:
            return {}
        said = self._client.run(
            describe_worker, self._runtime, workers=list(workers), on_error="return"
        )
        return {at: (workers[at], answer) for at, answer in said.items()}

    def _judge(self, found: Mapping[str, tuple[int, Any]]) -> None:
        for address, (threads, answer) in found.items():
            if answer == self.expected:
                self._accepted[address] = threads
                continue
            self._refused.add(address)
            self._warn(f"worker {address} is not used: {self._reason(answer)}")
        self.threads = sum(self._accepted.values())

    def _reason(self, answer: Any) -> str:
        if isinstance(answer, Mapping):
            return name_differences(self.expected, answer)
        first = (str(answer).strip() or type(answer).__name__).splitlines()[0]
        return f"edgedeploy does not run there ({first})"


def _largest_group(
    here: Mapping[str, str], found: Mapping[str, tuple[int, Any]]
) -> dict[str, str]:
    """Choose the processor that most workers have, among those with our software."""
    kinds: Counter[tuple[str, ...]] = Counter()
    for _, answer in found.values():
        if isinstance(answer, Mapping) and {**answer, **_hardware(here)} == dict(here):
            kinds[tuple(answer[key] for key in _HARDWARE)] += 1
    own = tuple(here[key] for key in _HARDWARE)
    best = max(kinds, key=lambda kind: (kinds[kind], kind == own, kind), default=own)
    return {**here, **dict(zip(_HARDWARE, best, strict=True))}


def _hardware(node: Mapping[str, str]) -> dict[str, str]:
    return {key: node[key] for key in _HARDWARE}
