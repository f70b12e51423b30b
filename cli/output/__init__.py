"""Text and JSON that the commands print."""
