"""What every Deloton service shares: events, rules, tables and connections."""
