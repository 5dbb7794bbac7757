"""Python environments of their own, for converters that cannot live beside ours.

onnx2tf pins another TensorFlow, and litert-torch brings PyTorch; each gets a virtual
environment in the cache, made on demand from a lock file with the digest of every
wheel.
"""
