"""What every running layer has: logs, health, metrics, stopping."""
