"""What a build says, for tests of stages."""

import contextlib

from edgedeploy.isolate import silent


class Notes:
    """A voice that remembers."""

    def __init__(self):
        self.warnings, self.lasting, self.notes = [], [], []

    @contextlib.contextmanager
    def step(self, _what):
        yield silent

    def note(self, line):
        self.notes.append(line)

    def warn(self, line, *, lasting=True):
        self.warnings.append(line)
        self.lasting += [line] if lasting else []
