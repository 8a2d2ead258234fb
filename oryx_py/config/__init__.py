"""Settings: one TOML file and the environment, validated into frozen groups."""
