"""ExaBGP 5.0.15 with a receive path of our own, in the speaker's process.

Run in place of `python -m exabgp` as `python -m bgp.speaker.launcher CONFIG SOCKET MODE`, where
the mode is auto, fast or stock; the installed package is not changed. ExaBGP keeps connections,
OPEN, KEEPALIVE, ROUTE-REFRESH, timers and all that is sent. Unless the mode is stock, three things
are replaced in memory:

* `Connection.reader` reads what the socket has, not one header and one body at a time;
* `Protocol.read_message` passes the UPDATEs of an established session to the agent as they came,
  as many as there are (ExaBGP itself: one for each turn of its loop, 100 us and more each);
* `Processes._start` connects to the agent's socket itself instead of starting a helper.

And in every mode (`refusal`, ADR 0100): the command `neighbor ADDRESS notify CODE SUBCODE [HEX]`
ends a session with that NOTIFICATION, and an OPEN that names our own AS is refused where `peer-as
auto` would take any. `listening` says how passive peers are waited for,
`dialling` how soon others are dialled again, `clock` what the timers count by.

Nothing here waits for the agent. What its socket does not take stays in memory up to a bound; then
UPDATEs are left in the peers' sockets, so that TCP slows them down, while KEEPALIVEs go on. When
the agent's end of the socket closes, this process is killed at once, so that graceful restart
takes over.

If ExaBGP is not the one known here, its own receive path is used, and a line says why. The package
is copied to where the speaker's user can read it and runs apart from the rest: it imports nothing
but itself, the standard library and ExaBGP.
"""
