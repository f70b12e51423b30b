"""img2dataset: its environment, its process, and what its encoding costs by itself."""
