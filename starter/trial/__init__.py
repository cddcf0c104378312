"""Trying a plan with one person: everything is asked that only reads, and told in words of the service's owner."""
