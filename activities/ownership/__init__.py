"""What the person owns, who takes it over, and how it gets there."""
