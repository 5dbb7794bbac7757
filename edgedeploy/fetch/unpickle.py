"""State dicts saved by PyTorch (.pth), read without PyTorch and without unpickling.

Two layouts, both as `torch.save` writes them. Legacy (before 1.6): three pickles
(magic number, protocol version, facts of the machine), the object's pickle, a pickled
list of storage keys, then for each key an int64 count and the raw numbers. Zip: an
archive with `<name>/data.pkl` and one file `<name>/data/<key>` for each storage.
"""

from __future__ import annotations

import io
import math
import reprlib
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np

from edgedeploy.errors import WeightsError
from edgedeploy.fetch.pickled import Storage, Tensor, read_pickle

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIZE_CAP_BYTES = 2 << 30
_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001


def read_state_dict(path: Path) -> dict[str, NDArray[Any]]:
    """Read all tensors of a state dict.

    Args:
        path: A .pth file.

    Returns:
        Arrays by name, in the file's order, read-only; tensors that share a storage
        share memory.

    Raises:
        WeightsError: If the file is damaged, or more than a dict of dense tensors.
    """
    try:
        if path.stat().st_size > SIZE_CAP_BYTES:
            raise WeightsError(f"{path.name} is larger than {SIZE_CAP_BYTES} bytes")
        data = path.read_bytes()
    except OSError as error:
        raise WeightsError(f"cannot read {path}: {error.strerror or error}") from error
    if data.startswith(b"PK\x03\x04"):
        tensors, load = _open_zip(data, path.name)
    else:
        tensors, load = _open_legacy(data, path.name)
    storages: dict[str, NDArray[Any]] = {}
    arrays: dict[str, NDArray[Any]] = {}
    for name, tensor in tensors.items():
        key = tensor.storage.key
        if key not in storages:
            storages[key] = _decode(tensor.storage, load(tensor.storage), path.name)
        arrays[name] = _view(tensor, storages[key], f"{path.name}: {name}")
    return arrays


def _open_legacy(
    data: bytes, subject: str
) -> tuple[dict[str, Tensor], Callable[[Storage], bytes]]:
    file = io.BytesIO(data)
    if read_pickle(file, subject) != _MAGIC:
        raise WeightsError(f"{subject} does not begin as torch.save's files do")
    protocol, machine = read_pickle(file, subject), read_pickle(file, subject)
    if protocol != _PROTOCOL:
        raise WeightsError(
            f"{subject} has protocol {reprlib.repr(protocol)}, not {_PROTOCOL}"
        )
    if not isinstance(machine, dict) or machine.get("little_endian") is not True:
        raise WeightsError(f"{subject} was not written on a little-endian machine")
    tensors = _check_tensors(read_pickle(file, subject), subject)
    keys = read_pickle(file, subject)
    promised = _check_storages(tensors, subject, len(data))
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise WeightsError(f"{subject} has no list of storages after its tensors")
    if set(keys) != set(promised) or len(keys) != len(promised):
        raise WeightsError(f"{subject} lists other storages than its tensors use")
    blocks: dict[str, bytes] = {}
    for key in keys:
        head = file.read(8)
        count = struct.unpack("<q", head)[0] if len(head) == 8 else -1
        if count != promised[key].count:
            raise WeightsError(
                f"{subject}: storage {key!r:.40} should hold {promised[key].count} "
                f"numbers; found {'nothing' if count < 0 else count}"
            )
        blocks[key] = file.read(count * np.dtype(promised[key].dtype).itemsize)
    if file.read(1):
        raise WeightsError(f"{subject} goes on after its last storage")
    return tensors, lambda storage: blocks[storage.key]


def _open_zip(
    data: bytes, subject: str
) -> tuple[dict[str, Tensor], Callable[[Storage], bytes]]:
    def read(name: str, most_bytes: int) -> bytes:
        try:
            info = archive.getinfo(name)
            # torch.save stores; a compressed member could be a bomb.
            if info.compress_type != zipfile.ZIP_STORED or info.file_size > most_bytes:
                raise WeightsError(f"{subject}: member {name!r} is packed or too long")
            return archive.read(info)
        except (
            zipfile.BadZipFile, KeyError, OSError, EOFError, RuntimeError, ValueError,
            zlib.error,
        ) as error:  # fmt: skip
            raise WeightsError(
                f"{subject}: cannot read member {name!r:.80}: {error}"
            ) from error

    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
    except (zipfile.BadZipFile, ValueError, OSError, struct.error) as error:
        raise WeightsError(f"{subject} is a damaged zip archive: {error}") from error
    names = archive.namelist()
    pickles = [name for name in names if PurePosixPath(name).name == "data.pkl"]
    if len(pickles) != 1 or len(set(names)) != len(names):
        raise WeightsError(f"{subject} is a zip archive, but not of one state dict")
    folder = pickles[0].removesuffix("data.pkl")
    if f"{folder}byteorder" in names and read(f"{folder}byteorder", 16) != b"little":
        raise WeightsError(f"{subject} was not written on a little-endian machine")
    program = io.BytesIO(read(pickles[0], 1 << 28))
    tensors = _check_tensors(read_pickle(program, subject), subject)
    _check_storages(tensors, subject, len(data))
    return tensors, lambda storage: read(f"{folder}data/{storage.key}", len(data))


def _check_tensors(value: Any, subject: str) -> dict[str, Tensor]:
    if not isinstance(value, dict) or not value:
        raise WeightsError(f"{subject} should hold a dict of tensors; it does not")
    for name, tensor in value.items():
        if not isinstance(name, str) or not isinstance(tensor, Tensor):
            raise WeightsError(
                f"{subject}: {name!r:.80} should be a tensor, found "
                f"{type(tensor).__name__}; save model.state_dict() alone"
            )
    return value


def _check_storages(
    tensors: dict[str, Tensor], subject: str, most_bytes: int
) -> dict[str, Storage]:
    storages: dict[str, Storage] = {}
    for tensor in tensors.values():
        storage = tensor.storage
        if storages.setdefault(storage.key, storage) != storage:
            raise WeightsError(f"{subject} describes storage {storage.key!r:.40} twice")
    # Members of a zip archive may overlap, and so hold more than the file.
    promised = sum(s.count * np.dtype(s.dtype).itemsize for s in storages.values())
    if promised > most_bytes:
        raise WeightsError(
            f"{subject} promises {promised} bytes of numbers; it has {most_bytes}"
        )
    return storages


def _decode(storage: Storage, block: bytes, subject: str) -> NDArray[Any]:
    dtype = np.dtype(storage.dtype)
    if len(block) != storage.count * dtype.itemsize:
        raise WeightsError(
            f"{subject}: storage {storage.key!r:.40} should be "
            f"{storage.count * dtype.itemsize} bytes, found {len(block)}"
        )
    # Any byte is a bool in NumPy's eyes only if it is 0 or 1.
    if dtype == np.bool_ and block.strip(b"\x00\x01"):
        raise WeightsError(f"{subject}: storage {storage.key!r:.40} holds no booleans")
    return np.frombuffer(block, dtype)


def _view(tensor: Tensor, storage: NDArray[Any], subject: str) -> NDArray[Any]:
    size = math.prod(tensor.shape)
    reach = sum(
        (n - 1) * step for n, step in zip(tensor.shape, tensor.strides, strict=True)
    )
    if size and tensor.offset + reach >= storage.size:
        raise WeightsError(
            f"{subject} reaches to number {tensor.offset + reach} of a storage of "
            f"{storage.size}"
        )
    # A stride of 0 makes much out of little: a bomb as soon as somebody copies it.
    if size > storage.size:
        raise WeightsError(f"{subject} is larger than its storage")
    if not size:
        return np.zeros(tensor.shape, storage.dtype)
    return np.lib.stride_tricks.as_strided(
        storage[tensor.offset :],
        tensor.shape,
        [step * storage.itemsize for step in tensor.strides],
        writeable=False,
    )
