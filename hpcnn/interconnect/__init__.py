"""Models of communication: links between ranks, and the time of an allreduce over them.

Arithmetic on seconds, bytes and bytes/s. Of the other rooms, must import ``util`` only.
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
