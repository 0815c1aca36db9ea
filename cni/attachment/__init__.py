"""One attachment: who it belongs to, how it is named, what it needs in the kernel. Pure.

Reference: design D1 (the pod link) and D2 (the kernel is the allocation store).
"""
