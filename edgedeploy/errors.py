"""What can go wrong, one class a stage; caught once, at the command line's edge.

Every message is one line: what, where, expected, received, what to do next.
"""


class EdgedeployError(Exception):
    """Base of all errors that a user can act upon.

    Attributes:
        exit_code: What the command line exits with: 1 when a job failed or a gate
            was missed, 2 when the input or a value was bad.
    """

    exit_code = 1


class InputError(EdgedeployError):
    """Something the user gave is wrong: a value, a path, a file's contents."""

    exit_code = 2


class FetchError(EdgedeployError):
    """A source could not be reached, or served other bytes than promised."""


class WeightsError(EdgedeployError):
    """A weights file has the right digest but not the expected structure."""


class LockError(EdgedeployError):
    """The bytes that edgedeploy.lock pins cannot be had."""


class WorkspaceError(EdgedeployError):
    """The build folder or the cache cannot be read or written."""


class IsolatedError(EdgedeployError):
    """A child process died; the signal or the exit code is in the message."""


class ConversionError(EdgedeployError):
    """The network could not be converted to a .tflite file."""


class QuantizationError(EdgedeployError):
    """A recipe could not be applied to the network."""


class TrainingError(EdgedeployError):
    """A network cannot be trained on a device, or its training failed."""


class FormatError(EdgedeployError):
    """A file's bytes do not follow its format."""


class EvaluationError(EdgedeployError):
    """Accuracy could not be measured."""


class BenchmarkError(EdgedeployError):
    """Latency could not be measured."""


class GateError(EdgedeployError):
    """No variant is good enough to ship."""


class PackageError(EdgedeployError):
    """A deliverable could not be written."""


class SigningError(PackageError):
    """A key could not be read or a signature could not be made."""


class VerificationError(EdgedeployError):
    """A deliverable is not what it claims to be."""


class DeviceError(EdgedeployError):
    """A device, real or emulated, could not be used."""
