"""The gRPC client of the commands."""
