"""What a build says, for tests of stages."""

import contextlib

from edgedeploy.isolate import silent


class Notes:
    """A voice that remembers."""

    def __init__(self):
        self.warnings, self.notes = [], []

    @contextlib.contextmanager
    def step(self, _what):
        yield silent

    def note(self, line):
        self.notes.append(line)

    def warn(self, line, *, lasting=False):
        self.warnings.append(line)
