"""The terminal control plane: screens that are pure views of a Snapshot and of the event stream.

Only this package imports textual. Nothing here touches a node: what is shown comes from a `Feed`, what is done goes
through `Operations`, whose real ones are the use cases of the command line.
"""
