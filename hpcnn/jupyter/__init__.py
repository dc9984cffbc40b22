"""Run JupyterLab with a token that nobody else sees."""
