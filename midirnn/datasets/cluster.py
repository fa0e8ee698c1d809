"""A cluster of machines as an executor: dask.distributed."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from typing import Any

from midirnn.errors import MissingExtraError, OptionError
from midirnn.files import reason_of

CONNECT_SECONDS = 20
"""How long to wait for a scheduler, and for the first of its workers."""

LOST_WORKERS = ("KilledWorker",)
"""The errors that Dask raises for a task that was on several workers when they died."""


@contextmanager
def dask_executor(address: str) -> Iterator[tuple[Executor, int]]:
    """Connect to a Dask scheduler; yield an executor, and how many tasks its workers run at once.

    Raises :class:`OptionError` if the ``address`` is none (``tcp://host:8786`` is one), if no
    scheduler answers there, or if it has no workers.
    """
    try:
        import distributed
    except ImportError:
        raise MissingExtraError("dask.distributed", "dask", "encoding on a cluster") from None
    _check_address(address)
    try:
        client: Any = distributed.Client(  # type: ignore[no-untyped-call]
            address, timeout=CONNECT_SECONDS, set_as_default=False
        )
    except (OSError, ValueError) as error:
        raise OptionError(f"no Dask scheduler answers at {address} ({reason_of(error)})") from None
    with client:
        try:
            client.wait_for_workers(1, timeout=CONNECT_SECONDS)
        except TimeoutError:
            raise OptionError(
                f"the Dask scheduler at {address} has no workers; start some with: "
                f"dask worker {address} --nthreads 1"
            ) from None
        yield client.get_executor(pure=False), sum(client.nthreads().values())


def _check_address(address: str) -> None:
    """Refuse an address that no scheduler can have.

    A client that is given one is left half built, and takes long to close.
    """
    from distributed.comm.addressing import parse_address, parse_host_port
    from distributed.comm.registry import get_backend

    try:
        scheme, place = parse_address(address)
        get_backend(scheme)
        if scheme in ("tcp", "tls"):
            parse_host_port(place)
    except ValueError as error:
        raise OptionError(
            f"{address!r} is not the address of a Dask scheduler, such as tcp://HOST:8786 "
            f"({reason_of(error)})"
        ) from None
