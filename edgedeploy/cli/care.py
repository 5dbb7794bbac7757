"""Tasks that look after the machine: `models`, `doctor` and `clean`."""

TASKS = ()
