"""The CNI server: one process per node that answers every call of the shim."""
