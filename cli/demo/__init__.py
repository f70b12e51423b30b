"""The demo: the whole system on this machine with real images and some invalid ones."""
