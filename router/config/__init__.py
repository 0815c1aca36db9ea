"""The agent's configuration: one schema, read into frozen settings, every error at once (D9)."""
