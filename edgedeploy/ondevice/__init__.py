"""The code that runs on the device, and unchanged on the host.

It needs the standard library, NumPy, Pillow and one LiteRT runtime, and imports
nothing else of edgedeploy: a Raspberry Pi bundle carries this folder verbatim.
"""
