"""Checks of any Android package that holds models: one file a question."""
