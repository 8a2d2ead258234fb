"""What the layers need of the world, as protocols."""
