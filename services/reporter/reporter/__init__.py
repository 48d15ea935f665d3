"""What a day of rides was like: the CEO's daily report, as PDF and mail."""
