"""The demo's scenes: one person each, and one thing that can happen."""
