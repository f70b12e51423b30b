"""What becomes of figures: files, the table, and what is noted beside them."""
