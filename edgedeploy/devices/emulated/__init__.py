"""Arm systems without Arm hardware: qemu, and a Debian root in the cache.

Nothing on the machine is changed: packages are unpacked, never installed. Emulated
times say nothing about a device and are never reported as one's.
"""
