"""HTTP beyond single routes: lists, the live stream, headers, what is counted."""
