"""The speed layer: exact fold-in of every interaction, in real time."""
