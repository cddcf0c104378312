"""A mirrored source: reading its row of a retirement, moving it, and never writing over what somebody else has moved."""
