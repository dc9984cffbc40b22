"""The report that people look at: one HTML file that needs nothing else, and the files of its pictures and tables.

``write`` makes the page; ``write_report`` does what ``hpcnn scaling-report --html FILE --out DIR`` asks. Importing it
imports pandas; calling it imports matplotlib.
"""

from hpcnn.report.html.files import write_report
from hpcnn.report.html.page import Section, write

__all__ = ["Section", "write", "write_report"]
