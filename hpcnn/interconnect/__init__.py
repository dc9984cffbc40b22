"""What summing gradients over many ranks costs: links, and models of the allreduce.

Arithmetic on seconds, bytes and bytes/s. Must not know runs, studies or reports.
"""

from hpcnn.interconnect.allreduce import ALGORITHMS, Cluster, allreduce_seconds, communication, exposed_seconds
from hpcnn.interconnect.links import LINKS, Link, link

__all__ = [
    "ALGORITHMS",
    "LINKS",
    "Cluster",
    "Link",
    "allreduce_seconds",
    "communication",
    "exposed_seconds",
    "link",
]
