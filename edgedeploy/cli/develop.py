"""Tasks for edgedeploy's own developers: `test` and `check`."""

TASKS = ()
