"""Deterministic code: what happens to one data subject's account, in which order, and what may stop it."""
