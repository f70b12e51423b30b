"""What every run of the driver has: a target and its surroundings, a bar, an end, and a folder for the report."""
