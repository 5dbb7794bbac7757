"""Pictures in batches: taken lazily, decoded ahead, in the order in which they came."""

from __future__ import annotations

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from .contract import ContractError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from concurrent.futures import Future

P = TypeVar("P")
R = TypeVar("R")

# A batch of pictures is held in memory, twice; no network gains beyond this.
MAX_BATCH = 256


def check_batch(batch: object) -> int:
    """Insist on a whole number of pictures a batch.

    Args:
        batch: Wanted: 1 to `MAX_BATCH`.

    Returns:
        The number.

    Raises:
        ContractError: If it is anything else.
    """
    if type(batch) is not int or not 1 <= batch <= MAX_BATCH:
        raise ContractError(f"batch must be 1 to {MAX_BATCH}; received {batch!r}")
    return batch


def prepare_in_batches(
    pictures: Iterable[P], prepare: Callable[[P], R], batch: int
) -> Iterator[list[tuple[P, R]]]:
    """Prepare pictures in a second thread, one batch ahead of the caller.

    At most two batches of prepared pictures exist at a time, so memory does not grow
    with their number. The pictures of the next batch are taken before a batch is given.

    Args:
        pictures: Taken one by one, never further ahead than that.
        prepare: Called with each, in order; must not raise.
        batch: Pictures a batch, at least 1.

    Yields:
        Each batch: pictures with what became of them, in order. The last one holds
        what is left.
    """
    waiting: deque[tuple[P, Future[R]]] = deque()

    def take() -> list[tuple[P, R]]:
        count = min(batch, len(waiting))
        taken = [waiting.popleft() for _ in range(count)]
        return [(picture, future.result()) for picture, future in taken]

    with ThreadPoolExecutor(1, thread_name_prefix="decode") as ahead:
        for picture in pictures:
            waiting.append((picture, ahead.submit(prepare, picture)))
            if len(waiting) == 2 * batch:
                yield take()
        while waiting:
            yield take()
