"""BGP as podroute sees it: value types, RIB, policy, session table and the speaker's control.

Knows neither netlink nor Kubernetes, and never imports `router` or `cni`. Pure modules
(`nlri`, `path`, `peer`, `secret`, `policy`, `rib`, `session`, `speaker.render`,
`speaker.commands`, `speaker.events`) take observations and clock readings as arguments;
`speaker.process` and `speaker.relay` are the only ones that touch the operating system.
"""
