"""The status page of a node: plain files and read-only JSON over HTTP."""
