"""SubmitImage and SubmitImages: admission, durable acceptance, the stream."""
