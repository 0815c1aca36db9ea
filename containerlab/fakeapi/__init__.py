"""A small API server with real semantics, and faults that can be switched on."""
