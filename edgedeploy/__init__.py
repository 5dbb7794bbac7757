"""From an image classifier's weights to measured, verified Android and Pi bundles."""

__version__ = "0.1.0"
