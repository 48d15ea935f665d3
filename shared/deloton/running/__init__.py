"""EDGE: what every program needs to run: settings, logs, health, pages, retries, CloudWatch."""
