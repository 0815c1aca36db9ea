"""Shell around the kernel: netlink, links, sysctls.

Nothing here decides: callers hand in plans made by `router.reconcile`, and get
observations back as frozen values.
"""
