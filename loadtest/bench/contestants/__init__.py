"""Programs that are set against each other."""
