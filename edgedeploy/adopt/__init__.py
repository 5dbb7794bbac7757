"""Taking a user's own model file in: what it is, what it says, and its first TOML."""
