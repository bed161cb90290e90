"""Whether a deployment still answers as well as it did: lm-eval's scores beside a baseline's."""
