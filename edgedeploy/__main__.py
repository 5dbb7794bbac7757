"""Run `python -m edgedeploy`."""

from edgedeploy.cli import main

main()
