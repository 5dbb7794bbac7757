"""Devices: emulated ones on this machine, and real ones over ssh."""
