"""The same task on many hosts at once; one's failure does not stop the rest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from functools import partial

from edgedeploy.devices.ssh.connection import Switchboard
from edgedeploy.devices.ssh.hosts import Host
from edgedeploy.devices.ssh.install import Say
from edgedeploy.devices.ssh.outcome import Outcome
from edgedeploy.errors import DeviceError, EdgedeployError
from edgedeploy.ondevice.contract import ContractError

MAX_PARALLEL = 8

Task = Callable[[Host, Say], Outcome]


def run_fleet(
    hosts: Sequence[Host],
    task: Task,
    switchboard: Switchboard,
    *,
    state: Callable[[Host, str], None],
    finished: Callable[[Outcome], Outcome],
) -> tuple[Outcome, ...]:
    """Run a task on every host, at most `MAX_PARALLEL` at a time.

    Args:
        hosts: Where.
        task: Called in a thread with the host and whom to tell of progress.
        switchboard: What the task opens its connections with; closed on Ctrl-C.
        state: Told from the threads what a host is doing, in a few words.
        finished: Given each outcome as it comes, in this thread; its result counts.

    Returns:
        The outcomes, in the hosts' order.
    """
    outcomes: dict[Host, Outcome] = {}
    pool = ThreadPoolExecutor(max_workers=min(MAX_PARALLEL, len(hosts)))
    try:
        waiting = {
            pool.submit(_attempt, task, host, partial(state, host)) for host in hosts
        }
        while waiting:
            # A limit, so that a signal is noticed at once.
            done, waiting = wait(waiting, timeout=0.5, return_when=FIRST_COMPLETED)
            for future in done:
                outcome = _kept(future, finished)
                outcomes[outcome.host] = outcome
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        switchboard.close()
        pool.shutdown(wait=True)
    return tuple(outcomes[host] for host in hosts)


def _kept(future: Future[Outcome], finished: Callable[[Outcome], Outcome]) -> Outcome:
    outcome = future.result()
    try:
        return finished(outcome)
    except EdgedeployError as error:
        # The next host's result may still be kept.
        return Outcome(
            host=outcome.host, passed=False, detail=str(error), remote=outcome.remote
        )


def _attempt(task: Task, host: Host, say: Say) -> Outcome:
    try:
        return task(host, say)
    except (EdgedeployError, ContractError) as error:
        detail = " ".join(str(error).split()).removeprefix(f"{host.name}: ")
        return Outcome(host=host, passed=False, detail=detail)


def raise_failed(outcomes: Sequence[Outcome]) -> None:
    """Fail if any host failed.

    Raises:
        DeviceError: With the list of those that did.
    """
    failed = [one for one in outcomes if not one.passed]
    if not failed:
        return
    if len(outcomes) == 1:
        raise DeviceError(f"{failed[0].host.name}: {failed[0].detail}")
    names = ", ".join(one.host.name for one in failed)
    raise DeviceError(
        f"{len(failed)} of {len(outcomes)} hosts failed: {names}; run the same command "
        "again for these, the others are done"
    )
