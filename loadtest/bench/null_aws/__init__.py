"""An AWS that does nothing: `loadtest.bench.null_aws.service` says what it answers."""
