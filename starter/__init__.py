"""The `retire` command: how people start, watch, change and resume retirements."""
