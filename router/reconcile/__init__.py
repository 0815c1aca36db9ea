"""PURE decisions of the route agent: inputs to intent, intent and observation to a plan."""
