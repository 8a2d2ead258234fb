"""Files of interactions by the million: read in batches of columns, and written so."""
