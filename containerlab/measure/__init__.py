"""What the demo and the benches measure with: checks, reports, and probe programs for lab nodes."""
