"""The checks, one file per subject: facts in, findings out."""
