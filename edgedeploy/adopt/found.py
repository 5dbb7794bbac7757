"""What a model file says of itself."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

Triple = tuple[float, float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What was read from a model file.

    Attributes:
        layout: How the file is organised, for the TOML.
        width: Columns of its input in pixels; 0 where the file leaves them open.
        height: Rows of its input.
        classes: Outputs; 0 where the output is a picture.
        outputs: "probabilities", "logits" or "picture".
        mean: Of the normalisation, on 0..255; None where the file does not tell.
        std: The same.
        reason: How mean and std are known; "" where they are not.
        assumed: Whether they are a guess from what the file says.
        labels: Class names inside the file; empty where there are none.
    """

    layout: str
    width: int
    height: int
    classes: int
    outputs: str
    mean: Triple | None = None
    std: Triple | None = None
    reason: str = ""
    assumed: bool = False
    labels: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Give the findings as JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Found:
        """Read what `to_dict` gave, after JSON made lists of the tuples."""
        fields: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value
            for key, value in values.items()
        }
        return cls(**fields)
