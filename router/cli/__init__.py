"""The command `podroute`: starts the daemons and answers operators."""
