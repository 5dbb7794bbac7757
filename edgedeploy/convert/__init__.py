"""Weights to a float network: Keras, and the TFLite converter on top of it."""
