"""Shell around the kernel: netlink, links, sysctls. The only importer of pyroute2.

Nothing here decides: callers hand in plans made by `router.reconcile`, and get
observations back as frozen values.
"""
