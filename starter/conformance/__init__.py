"""Does a service keep what a retirement counts on? A kit of checks that are run with test users of the service."""
