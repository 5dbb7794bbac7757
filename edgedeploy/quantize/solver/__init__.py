"""Weights to few-bit codes: each layer's own output is held against float32's."""
