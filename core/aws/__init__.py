"""AWS clients: the SDK, and a faster HTTP path for the calls made for each image."""
