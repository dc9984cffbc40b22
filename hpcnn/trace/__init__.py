"""What the steps that ``hpcnn train --profile`` recorded hold: from profilers' files to traces and tables."""
