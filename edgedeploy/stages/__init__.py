"""The path of one model, stage by stage, each skipped when nothing changed."""
