"""Android phones over adb, the Android Debug Bridge: install, measure, test."""
