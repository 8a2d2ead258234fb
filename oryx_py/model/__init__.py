"""Generations, their registry, and the state that updates change."""
