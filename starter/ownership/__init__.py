"""What people own, at the door: asked of the services, handed over, and told."""
