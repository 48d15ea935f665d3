"""What a day or a week of rides was like: the CEO's daily and weekly reports, as PDF and mail."""
