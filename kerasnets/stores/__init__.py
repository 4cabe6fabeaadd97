"""Looking after a model store: what is in it, what may go, going back to a version."""
