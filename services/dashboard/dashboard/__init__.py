"""Live pages about riders and rides, for staff."""
