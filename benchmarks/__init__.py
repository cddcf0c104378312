"""Throughput and cost of retirements, next to a bare workflow of the same shape on the same server in the same run."""
