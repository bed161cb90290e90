"""Days on a virtual fleet: hours of requests against instances whose roles change while it runs."""
