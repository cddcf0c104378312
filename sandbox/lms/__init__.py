"""A stand-in for an Open edX site: the LMS with its retirement calls, the services beside it, and the vendors."""
