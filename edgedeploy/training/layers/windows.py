"""Sliding windows: what each position of a kernel sees, and the way back.

TensorFlow's padding rules: "same" puts the odd pixel after, "valid" has none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgedeploy.training import ops
from edgedeploy.training.graph import Value

LOWEST = -3.4028234663852886e38


@dataclass(frozen=True, slots=True, kw_only=True)
class Windows:
    """Where a kernel's windows lie on a picture.

    Attributes:
        size: The picture's height and width.
        kernel: Height and width.
        strides: Down and across.
        padding: Zeros before and after, (top, bottom) and (left, right).
    """

    size: tuple[int, int]
    kernel: tuple[int, int]
    strides: tuple[int, int]
    padding: tuple[tuple[int, int], tuple[int, int]]

    @property
    def count(self) -> tuple[int, int]:
        """Windows down and across."""
        down, across = (
            (n + sum(p) - k) // s + 1
            for n, p, k, s in zip(
                self.size, self.padding, self.kernel, self.strides, strict=True
            )
        )
        return down, across

    @property
    def positions(self) -> list[tuple[int, int]]:
        """The kernel's positions, row by row."""
        return [(i, j) for i in range(self.kernel[0]) for j in range(self.kernel[1])]


def windows_of(
    x: Value, layer_kernel: Sequence[int], strides: Sequence[int], padding: str
) -> Windows:
    """Lay a kernel's windows over a picture.

    Args:
        x: Shape (n, h, w, c).
        layer_kernel: Height and width.
        strides: Down and across.
        padding: "same" or "valid".

    Returns:
        The windows.
    """
    size = (x.shape[1], x.shape[2])
    amounts = []
    for n, k, s in zip(size, layer_kernel, strides, strict=True):
        total = max((-(-n // s) - 1) * s + k - n, 0) if padding == "same" else 0
        amounts.append((total // 2, total - total // 2))
    return Windows(
        size=size,
        kernel=(layer_kernel[0], layer_kernel[1]),
        strides=(strides[0], strides[1]),
        padding=(amounts[0], amounts[1]),
    )


def gather(x: Value, windows: Windows, filler: float = 0.0) -> list[Value]:
    """Collect what each position of the kernel sees.

    Args:
        x: Shape (n, h, w, c).
        windows: Of this picture.
        filler: Value of the padding.

    Returns:
        For each position a value of shape (n, windows down, windows across, c).
    """
    (top, bottom), (left, right) = windows.padding
    frame = ((0, 0), (top, bottom), (left, right), (0, 0))
    x = ops.pad(x, frame) if filler == 0.0 else ops.pad_with(x, frame, filler)
    n, _, _, c = x.shape
    down, across = windows.count
    sh, sw = windows.strides
    if (sh, sw) == (1, 1):
        return [
            ops.cut(x, (0, i, j, 0), (n, down, across, c)) for i, j in windows.positions
        ]
    x = _fit(x, windows)
    blocks = (n, x.shape[1] // sh, x.shape[2] // sw)
    split = ops.reshape(x, (n * blocks[1], sh, blocks[2], sw * c))
    seen = []
    for i, j in windows.positions:
        begin = (0, i % sh, 0, (j % sw) * c)
        phase = ops.cut(split, begin, (n * blocks[1], 1, blocks[2], c))
        phase = ops.reshape(phase, (*blocks, c))
        seen.append(ops.cut(phase, (0, i // sh, j // sw, 0), (n, down, across, c)))
    return seen


def scatter(parts: Sequence[Value], windows: Windows) -> Value:
    """Add up, for each pixel, what flows back from every window that saw it.

    The adjoint of `gather`.

    Args:
        parts: For each position of the kernel, shape (n, down, across, c).
        windows: Of the picture.

    Returns:
        Shape (n, h, w, c).
    """
    sh, sw = windows.strides
    n, down, across, c = parts[0].shape
    rows = max(down + (windows.kernel[0] - 1) // sh, 1)
    columns = max(across + (windows.kernel[1] - 1) // sw, 1)
    phases: dict[tuple[int, int], Value] = {}
    for (i, j), part in zip(windows.positions, parts, strict=True):
        a, b = i // sh, j // sw
        frame = ((0, 0), (a, rows - down - a), (b, columns - across - b), (0, 0))
        moved = ops.pad(part, frame)
        key = (i % sh, j % sw)
        phases[key] = ops.add(phases[key], moved) if key in phases else moved
    if (sh, sw) == (1, 1):
        whole = phases[0, 0]
    else:
        whole = _interleave(phases, windows.strides, (n, rows, columns, c))
    return _crop(whole, windows)


def _fit(x: Value, windows: Windows) -> Value:
    """Cut or extend a padded picture so that its sizes are multiples of the stride."""
    for axis, (count, kernel, stride) in enumerate(
        zip(windows.count, windows.kernel, windows.strides, strict=True), start=1
    ):
        wanted = (count - 1 + -(-kernel // stride)) * stride
        shape = list(x.shape)
        if shape[axis] < wanted:
            frame = [(0, 0)] * 4
            frame[axis] = (0, wanted - shape[axis])
            x = ops.pad(x, frame)
        shape[axis] = wanted
        x = ops.cut(x, (0, 0, 0, 0), shape)
    return x


def _interleave(
    phases: dict[tuple[int, int], Value],
    strides: tuple[int, int],
    shape: tuple[int, int, int, int],
) -> Value:
    sh, sw = strides
    n, rows, columns, c = shape
    # A stride longer than the kernel leaves pixels that no window saw.
    empty = None
    if len(phases) < sh * sw:
        empty = ops.multiply(next(iter(phases.values())), 0.0)
    lines = []
    for i in range(sh):
        line = [phases.get((i, j), empty) for j in range(sw)]
        joined = ops.join([value for value in line if value is not None], 3)
        lines.append(ops.reshape(joined, (n * rows, 1, columns, sw * c)))
    return ops.reshape(ops.join(lines, 1), (n, rows * sh, columns * sw, c))


def _crop(whole: Value, windows: Windows) -> Value:
    """Drop the padding; extend to pixels behind the last window."""
    (top, _), (left, _) = windows.padding
    height, width = windows.size
    n, rows, columns, c = whole.shape
    frame = (
        (0, 0),
        (0, max(top + height - rows, 0)),
        (0, max(left + width - columns, 0)),
        (0, 0),
    )
    return ops.cut(ops.pad(whole, frame), (0, top, left, 0), (n, height, width, c))
