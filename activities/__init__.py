"""The side effects: one class a subject, holding its clients."""
