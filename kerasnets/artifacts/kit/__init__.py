"""The deployment kit: what servers and people need beside the artefacts of a version."""
