"""Real devices, one or a fleet, through the ssh program of the system.

Keys, known_hosts and ssh_config are ssh's own affair; nothing here weakens them.
"""
