"""The Raspberry Pi: an archive that installs offline and proves itself."""
