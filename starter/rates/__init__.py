"""Rates of services: what plans ask for, what the server holds, and whether it hands calls out fairly."""
