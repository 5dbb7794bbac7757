"""What devices do to a picture before the network sees it, one file a device path.

All in NumPy, each after a named source, so that the accuracy of a device that
prepares pictures in its own way can be measured without the device.
"""
