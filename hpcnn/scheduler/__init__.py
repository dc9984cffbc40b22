"""How job scripts run: bash on this machine today; each scheduler is a file of its own."""
