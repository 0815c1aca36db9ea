"""The BGP speaker: stock ExaBGP 5 as a supervised child process, and its two languages.

`render` writes its configuration, `commands` its API lines, `events` reads what it tells;
`process` runs it and `relay` is the small helper that ExaBGP itself starts.
"""
