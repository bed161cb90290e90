"""Is a node fit to serve: collect raw outputs on the node, parse them to facts, judge facts to findings.

`collect_on_node` collects and never judges; `envelope` is what it sends, and what is saved and replayed; `parse`
turns one tool's output into records; `facts` puts the records of a node together; `checks` judge them.
"""
