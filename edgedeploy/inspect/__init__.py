"""What any .tflite file holds, and which of it XNNPACK runs."""

from edgedeploy.inspect.report import inspect_model

__all__ = ["inspect_model"]
