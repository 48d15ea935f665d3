"""What brings Deloton to where it runs."""
