"""Lists of one customer's requests and images, page by page."""
