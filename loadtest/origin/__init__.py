"""The HTTP origin of images. `app` lists its paths; `python -m loadtest.origin` runs it."""
