"""Exact resume: all that decides how a run goes on, written so that it survives a kill at any moment."""
