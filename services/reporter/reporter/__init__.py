"""What a day of rides was like, for the CEO's daily report."""
