"""The program that tells partners of changes: `python -m api.webhooks`."""
