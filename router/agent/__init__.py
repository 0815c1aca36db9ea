"""The route agent: wiring, the level-triggered loop, and what it tells operators."""
