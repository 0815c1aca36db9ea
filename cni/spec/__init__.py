"""The CNI specification as values: requests in, results and errors out. Pure, stdlib only.

Reference: containernetworking/cni SPEC.md, versions 0.3.1 to 1.1.0.
"""
