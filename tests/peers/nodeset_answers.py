"""What ClusterShell says of node sets, for the tests of fleet's host sets.

Usage: nodeset_answers.py < EXPRESSIONS
For each line one line of JSON: {"names": [...], "folded": "..."}, or {"error": "..."}.
"""

import json
import sys

from ClusterShell.NodeSet import NodeSet, NodeSetException, RESOLVER_NOGROUP


def answer(expression):
    """What one expression stands for."""
    try:
        nodes = NodeSet(expression, resolver=RESOLVER_NOGROUP)
    except NodeSetException as error:
        return {"error": str(error)}
    return {"names": list(nodes), "folded": str(nodes)}


for line in sys.stdin:
    print(json.dumps(answer(line.rstrip("\n"))))
