"""What any room may use: files, errors, texts, locks. Knows nothing of trainings, runs or reports."""
