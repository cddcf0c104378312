"""Ready plans (YAML), the plan's model, and loading."""
