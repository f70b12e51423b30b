"""Examines images in processes that have no credentials, no privileges, no files and no network.

    worker ── fork_client ──▶ fork_server ──forks──▶ decoder
      └──── decoder_process ◀──── protocol ────────────┘

`decode_pool` is what the worker uses. Only `decoder` and `fork_server` import native decoders.
"""
