"""Read the few pickle opcodes that state dicts need, as values, never as actions.

A pickle is a program; here it is interpreted by a machine that knows only how to
build tuples, dicts and *descriptions* of storages and tensors. Nothing is imported
and nothing is called. Messages show values through `reprlib`: shared tuples can make a
whole repr endless. The opcodes are those of the standard library's `pickletools`.
"""

from __future__ import annotations

import pickletools
import reprlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO, Any

from edgedeploy.errors import WeightsError

OPCODES_CAP = 5_000_000
_MARK = object()
_PUSHED = frozenset({
    "BINFLOAT", "BININT", "BININT1", "BININT2", "BINUNICODE", "LONG1",
    "SHORT_BINUNICODE",
})  # fmt: skip
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_DTYPES = {
    "DoubleStorage": "<f8",
    "FloatStorage": "<f4",
    "HalfStorage": "<f2",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "|i1",
    "ByteStorage": "|u1",
    "BoolStorage": "|b1",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Storage:
    """A block of numbers that lies elsewhere in the file."""

    key: str
    dtype: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Tensor:
    """A view of a storage; offset and strides count elements."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Global:
    name: str


def read_pickle(file: IO[bytes], subject: str) -> Any:
    """Read one pickle of a state dict.

    Args:
        file: At the pickle's first byte; left just behind its last. Should be in
            memory, since lengths are taken from the data.
        subject: Name of the file, for messages.

    Returns:
        None, bool, int, float, str, tuple, list, dict, `Storage` or `Tensor`.

    Raises:
        WeightsError: If it is damaged, or wants anything else.
    """
    machine = _Machine(subject)
    try:
        for count, (opcode, argument, _) in enumerate(pickletools.genops(file)):
            if count > OPCODES_CAP:
                raise WeightsError(f"{subject}: the pickle is absurdly long")
            if opcode.name == "STOP":
                return machine.finish()
            machine.step(opcode.name, argument)
    except (ValueError, IndexError, KeyError, TypeError, AttributeError) as error:
        raise WeightsError(f"{subject} holds a damaged pickle: {error}") from error
    raise WeightsError(f"{subject} holds a pickle without an end")


class _Machine:
    def __init__(self, subject: str) -> None:
        self._subject = subject
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}
        self._handlers: dict[str, Callable[[Any], None]] = {
            "PROTO": self._protocol,
            "FRAME": lambda _: None,
            "MARK": lambda _: self._stack.append(_MARK),
            "EMPTY_DICT": lambda _: self._stack.append({}),
            "EMPTY_LIST": lambda _: self._stack.append([]),
            "EMPTY_TUPLE": lambda _: self._stack.append(()),
            "TUPLE": lambda _: self._stack.append(tuple(self._pop_to_mark())),
            "TUPLE1": lambda _: self._tuple(1),
            "TUPLE2": lambda _: self._tuple(2),
            "TUPLE3": lambda _: self._tuple(3),
            "BINPUT": self._put,
            "LONG_BINPUT": self._put,
            "MEMOIZE": lambda _: self._put(len(self._memo)),
            "BINGET": self._get,
            "LONG_BINGET": self._get,
            "GLOBAL": self._name,
            "STACK_GLOBAL": self._stack_name,
            "REDUCE": self._reduce,
            "BUILD": self._build,
            "BINPERSID": self._storage,
            "SETITEM": lambda _: self._set_items([self._pop(), self._pop()][::-1]),
            "SETITEMS": lambda _: self._set_items(self._pop_to_mark()),
            "APPEND": lambda _: self._extend([self._pop()]),
            "APPENDS": lambda _: self._extend(self._pop_to_mark()),
        }

    def step(self, name: str, argument: Any) -> None:
        """Do one opcode."""
        if name in _PUSHED:
            self._stack.append(argument)
        elif name in _CONSTANTS:
            self._stack.append(_CONSTANTS[name])
        elif name in self._handlers:
            self._handlers[name](argument)
        else:
            raise self._refuse(f"the opcode {name}")

    def finish(self) -> Any:
        """Return the one value that is left."""
        value = self._pop()
        if self._stack or isinstance(value, _Global):
            raise WeightsError(f"{self._subject} holds a pickle that ends half-way")
        return value

    def _refuse(self, what: str) -> WeightsError:
        return WeightsError(
            f"{self._subject} is no plain state dict: it wants {what}; refused. "
            f"Expected a dict of dense tensors, saved from model.state_dict()"
        )

    def _pop(self) -> Any:
        value = self._stack.pop()
        if value is _MARK:
            raise ValueError("a mark where a value should be")
        return value

    def _pop_to_mark(self) -> list[Any]:
        values: list[Any] = []
        while (value := self._stack.pop()) is not _MARK:
            values.append(value)
        return values[::-1]

    def _protocol(self, version: int) -> None:
        if not 2 <= version <= 5:
            raise self._refuse(f"pickle protocol {version}")

    def _tuple(self, length: int) -> None:
        values = [self._pop() for _ in range(length)]
        self._stack.append(tuple(values[::-1]))

    def _put(self, index: int) -> None:
        value = self._pop()
        self._memo[index] = value
        self._stack.append(value)

    def _get(self, index: int) -> None:
        self._stack.append(self._memo[index])

    def _name(self, argument: str) -> None:
        # pickletools joins the module and the name with a space.
        self._push_global(argument.replace(" ", ".", 1))

    def _stack_name(self, _: Any) -> None:
        name, module = self._pop(), self._pop()
        if not isinstance(name, str) or not isinstance(module, str):
            raise TypeError("a name that is no text")
        self._push_global(f"{module}.{name}")

    def _push_global(self, name: str) -> None:
        storage = name.removeprefix("torch.")
        known = name in {
            "collections.OrderedDict",
            "torch._utils._rebuild_tensor_v2",
        } or (name.startswith("torch.") and storage in _DTYPES)
        if not known:
            raise self._refuse(name if name.isprintable() else repr(name))
        self._stack.append(_Global(name))

    def _reduce(self, _: Any) -> None:
        arguments, function = self._pop(), self._pop()
        if not isinstance(function, _Global) or not isinstance(arguments, tuple):
            raise self._refuse(f"a call of {reprlib.repr(function)}")
        if function.name == "collections.OrderedDict" and not arguments:
            self._stack.append({})
        elif function.name == "torch._utils._rebuild_tensor_v2":
            self._stack.append(_make_tensor(arguments))
        else:
            raise self._refuse(f"a call of {function.name}{reprlib.repr(arguments)}")

    def _build(self, _: Any) -> None:
        # Only an OrderedDict's `_metadata` (versions of layers), which says nothing
        # about the tensors.
        self._pop()
        if not isinstance(self._stack[-1], dict):
            raise self._refuse("an object's state to be set")

    def _storage(self, _: Any) -> None:
        fields = self._pop()
        if not isinstance(fields, tuple) or len(fields) not in {5, 6}:
            raise self._refuse(f"the persistent id {reprlib.repr(fields)}")
        kind, dtype, key, _device, count, *view = fields
        if (
            kind != "storage"
            or not isinstance(dtype, _Global)
            or view not in ([], [None])
        ):
            raise self._refuse(f"the persistent id {reprlib.repr(fields)}")
        if not isinstance(key, str) or not _is_count(count):
            raise self._refuse(
                f"a storage {reprlib.repr(key)} of {reprlib.repr(count)} numbers"
            )
        dtype_name = _DTYPES.get(dtype.name.removeprefix("torch."))
        if dtype_name is None:
            raise self._refuse(f"a storage of {dtype.name}")
        self._stack.append(Storage(key=key, dtype=dtype_name, count=count))

    def _set_items(self, values: list[Any]) -> None:
        target = self._stack[-1]
        if not isinstance(target, dict) or len(values) % 2:
            raise self._refuse("items to be set in something that is no dict")
        for key, value in zip(values[::2], values[1::2], strict=True):
            if not isinstance(key, str | int):
                raise self._refuse(f"the dict key {reprlib.repr(key)}")
            if isinstance(value, _Global):
                raise self._refuse(f"{value.name} as a value")
            target[key] = value

    def _extend(self, values: list[Any]) -> None:
        target = self._stack[-1]
        if not isinstance(target, list):
            raise self._refuse("items to be added to something that is no list")
        target.extend(values)


def _make_tensor(arguments: tuple[Any, ...]) -> Tensor:
    if not 4 <= len(arguments) <= 7:
        raise ValueError("a tensor with the wrong number of fields")
    storage, offset, shape, strides = arguments[:4]
    whole = (
        isinstance(storage, Storage)
        and isinstance(shape, tuple)
        and isinstance(strides, tuple)
        and all(_is_count(number) for number in (offset, *shape, *strides))
    )
    if not whole or len(shape) != len(strides) or len(shape) > 16:
        raise ValueError(
            f"a tensor of shape {reprlib.repr(shape)}, strides {reprlib.repr(strides)}"
        )
    return Tensor(storage=storage, offset=offset, shape=shape, strides=strides)


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 1 << 40
