"""The one origin of pictures: `loadtest.origin.app` says what it serves, `python -m loadtest.origin` runs it."""
