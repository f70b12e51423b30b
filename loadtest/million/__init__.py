"""The whole path under load: submit, fetch, store, tell, and a proof that nothing was lost or doubled."""
